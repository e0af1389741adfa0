"""The acoustic model: one .tflite file, run in place by the kernels' interpreter."""

import struct
from array import array

import stapes_spec as spec

from stapes.errors import StapesError, check
from stapes.storage import file_bytes

# Field numbers in TensorFlow Lite's schema (schema.fbs): table Model, Metadata and Buffer.
_MODEL_BUFFERS = 4
_MODEL_METADATA = 6
_METADATA_NAME = 0
_METADATA_BUFFER = 1
_BUFFER_DATA = 0


class Model:
    """A checked model with its state, ready to run.

    Attributes:
        data: the file's bytes.
        state: bytearray, the interpreter's plan and activations.
        encoder: int, index of the subgraph that runs once per step, or that encoder_light may stand in for.
        branches: bool, it has a light encoder and an arbitrator.
        features: memoryview int8 [feature_size], the encoder's input tensor, Q4.3.
        prior: int16 [mel_bands], mean log-mel, Q5.10.
        blank_penalty, start_discount, language_scale: int, Q.10.
        rejection: int, Q.10: a command with more doubt per word was not meant; 0: none is rejected.
        flush_steps: int, look-ahead of the encoder after the last sample.
        units_crc: int, identifies the unit names.
        endpoint: tuple of int, the fields of layout.endpoint but rejection; None: not tuned.
        has_endpointer: bool, it is tuned and has the net.
    """

    def __init__(self, path, kernels):
        self.where = path if isinstance(path, str) else "model"
        self.data = file_bytes(path)
        self._kernels = kernels
        info = array("i", [0] * spec.INFO_INDEX_COUNT)
        size = kernels.model_size(self.data, info)
        if size < 0:
            raise StapesError(-size, self.where, _evidence(-size, info))
        try:
            self.state = bytearray(size)
        except MemoryError:
            raise StapesError(spec.ERROR_MODEL_MEMORY, self.where, "%d bytes for activations" % size)
        check(kernels.model_init(self.state, self.data, info), self.where)
        self.encoder = check(kernels.model_subgraph(self.state, self.data, b"encoder"), self.where)
        at = check(kernels.model_tensor(self.state, self.data, self.encoder, 0, 0), self.where)
        self.features = memoryview(self.state)[at : at + spec.FRONTEND_FEATURE_SIZE]
        self.branches = kernels.model_subgraph(self.state, self.data, b"encoder_light") >= 0
        self._read_metadata()
        net = kernels.model_subgraph(self.state, self.data, spec.ENDPOINT_SUBGRAPH.encode())
        self.has_endpointer = net >= 0 and self.endpoint is not None

    def _read_metadata(self):
        at = metadata_offset(self.data)
        if at < 0:
            raise StapesError(spec.ERROR_MODEL_METADATA, self.where)
        fields = struct.unpack_from(spec.METADATA_STRUCT, self.data, at)
        self.blank_penalty, self.language_scale, self.flush_steps, self.start_discount, self.units_crc = fields[11:16]
        self.endpoint, self.rejection = None, 0
        if fields[2] >= spec.METADATA_BYTES + spec.ENDPOINT_BYTES:
            block = struct.unpack_from(spec.ENDPOINT_STRUCT, self.data, at + spec.METADATA_BYTES)
            self.endpoint, self.rejection = block[:3] + block[4:], block[3]
        prior = struct.unpack_from("<%dh" % spec.FRONTEND_MEL_BANDS, self.data, at + fields[2])
        self.prior = array("h", prior)

    def reset(self):
        """Return the recurrent state to zero: the next step starts an utterance."""
        check(self._kernels.model_reset(self.state, self.data), self.where)

    def encode(self, effort):
        """Run the encoder on self.features; its output stays in self.state. Allocates nothing.

        Args:
            effort: int, per cent; without branches it changes nothing.
        Returns:
            int: spec.BRANCH_HEAVY or spec.BRANCH_LIGHT, which encoder ran; or a kernel's negative error.
        """
        return self._kernels.encoder_step(self.state, self.data, effort)


def metadata_offset(data):
    """Return where the metadata entry "stapes" begins in a checked .tflite, or -1."""
    model = _u32(data, 0)
    entries = _vector(data, model, _MODEL_METADATA)
    buffers = _vector(data, model, _MODEL_BUFFERS)
    wanted = spec.MODEL_METADATA_NAME.encode()
    for k in range(_u32(data, entries) if entries else 0):
        entry = _element(data, entries, k)
        name = _vector(data, entry, _METADATA_NAME)
        if name and bytes(data[name + 4 : name + 4 + _u32(data, name)]) == wanted:
            index_at = _field(data, entry, _METADATA_BUFFER)
            buffer = _element(data, buffers, _u32(data, index_at) if index_at else 0)
            contents = _vector(data, buffer, _BUFFER_DATA)
            return contents + 4 if contents else -1
    return -1


def _u32(data, at):
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24


def _field(data, table, number):
    """Return the position of a table's field, 0 if it is absent (flatbuffers: vtable of u16 offsets)."""
    soffset = _u32(data, table)
    vtable = table - (soffset - (1 << 32) if soffset >> 31 else soffset)
    slot = 4 + 2 * number
    if slot >= data[vtable] | data[vtable + 1] << 8:
        return 0
    offset = data[vtable + slot] | data[vtable + slot + 1] << 8
    return table + offset if offset else 0


def _vector(data, table, number):
    """Return the position of a vector's or string's length, 0 if the field is absent."""
    at = _field(data, table, number)
    return at + _u32(data, at) if at else 0


def _element(data, vector, k):
    """Return the position of table k of a vector of tables."""
    at = vector + 4 + 4 * k
    return at + _u32(data, at)


def _evidence(code, info):
    """Word the place where the kernels refused a model."""
    if code in (spec.ERROR_MODEL_OP, spec.ERROR_MODEL_TYPE):
        return "subgraph %d, operator %d: %d" % (
            info[spec.INFO_INDEX_SUBGRAPH],
            info[spec.INFO_INDEX_OPERATOR],
            info[spec.INFO_INDEX_DETAIL],
        )
    if code == spec.ERROR_MODEL_BRANCHES:
        return "subgraph %d: %d" % (info[spec.INFO_INDEX_SUBGRAPH], info[spec.INFO_INDEX_DETAIL])
    if code == spec.ERROR_MODEL_VERSION:
        return "version %d" % info[spec.INFO_INDEX_DETAIL]
    return ""
