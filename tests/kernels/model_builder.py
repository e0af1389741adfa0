"""Builds small int8 TensorFlow Lite models for the interpreter's tests."""

import binascii
import struct

import flatbuffers
import numpy as np
import stapes_spec as spec
from ai_edge_litert import schema_py_generated as schema

INT8, INT16, INT32 = schema.TensorType.INT8, schema.TensorType.INT16, schema.TensorType.INT32
INT4, FLOAT32 = schema.TensorType.INT4, schema.TensorType.FLOAT32
NUMPY = {FLOAT32: np.float32, INT8: np.int8, INT16: np.int16, INT32: np.int32}
OP = schema.BuiltinOperator
ACTIVATION = schema.ActivationFunctionType
UNITS = ("_", "a", "b")


class Graph:
    """One subgraph under construction."""

    def __init__(self, builder, name):
        self.builder = builder
        self.subgraph = schema.SubGraphT()
        self.subgraph.name = name
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.subgraph.inputs, self.subgraph.outputs = [], []

    def tensor(self, shape, type_=INT8, scale=None, zero_point=0, data=None, variable=False, axis=0):
        """Add a tensor; data makes it a constant. Returns its index."""
        tensor = schema.TensorT()
        tensor.shape = [int(n) for n in shape]
        tensor.type = type_
        tensor.name = f"t{len(self.subgraph.tensors)}"
        tensor.isVariable = variable
        tensor.buffer = 0 if data is None else self.builder.buffer(_encoded(data, type_))
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.scale = [float(s) for s in scales]
            quantization.zeroPoint = [int(zero_point)] * len(scales)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def op(self, code, inputs, outputs, options=None, options_type=0, intermediates=None):
        """Add an operator."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self.builder.opcode(code)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        operator.builtinOptions, operator.builtinOptionsType = options, options_type
        if intermediates:
            operator.intermediates = list(intermediates)
        self.subgraph.operators.append(operator)

    def conv(self, x, weights, bias, y, **fields):
        self.op(OP.CONV_2D, [x, weights, bias], [y], *options("Conv2DOptions", _conv_fields(fields)))

    def depthwise(self, x, weights, bias, y, **fields):
        fields.setdefault("depthMultiplier", 1)
        fields = _conv_fields(fields)
        self.op(OP.DEPTHWISE_CONV_2D, [x, weights, bias], [y], *options("DepthwiseConv2DOptions", fields))

    def fully_connected(self, x, weights, bias, y, **fields):
        self.op(OP.FULLY_CONNECTED, [x, weights, bias], [y], *options("FullyConnectedOptions", fields))

    def add(self, a, b, y, **fields):
        self.op(OP.ADD, [a, b], [y], *options("AddOptions", fields))

    def concatenation(self, inputs, y, axis, **fields):
        self.op(OP.CONCATENATION, inputs, [y], *options("ConcatenationOptions", dict(axis=axis, **fields)))

    def strided_slice(self, x, begin, end, strides, y, **fields):
        vectors = [self.tensor([len(v)], INT32, data=v) for v in (begin, end, strides)]
        self.op(OP.STRIDED_SLICE, [x, *vectors], [y], *options("StridedSliceOptions", fields))

    def reshape(self, x, shape, y):
        vector = self.tensor([len(shape)], INT32, data=shape)
        self.op(OP.RESHAPE, [x, vector], [y], *options("ReshapeOptions", {"newShape": list(shape)}))

    def gather(self, table, indices, y, axis=0):
        self.op(OP.GATHER, [table, indices], [y], *options("GatherOptions", {"axis": axis}))


def _encoded(data, type_):
    """The bytes of a constant; INT4: two values per byte, the first in the low nibble."""
    if type_ != INT4:
        return np.asarray(data, NUMPY[type_]).tobytes()
    nibbles = [int(value) & 15 for value in np.ravel(data)]
    nibbles += [0] * (len(nibbles) % 2)
    return bytes(low | high << 4 for low, high in zip(nibbles[0::2], nibbles[1::2], strict=True))


def _conv_fields(fields):
    defaults = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 1}
    return {**defaults, **fields}


def options(name, fields):
    """An option table of the schema and its type."""
    table = getattr(schema, name + "T")()
    for key, value in fields.items():
        assert hasattr(table, key), key
        setattr(table, key, value)
    return table, getattr(schema.BuiltinOptions, name)


class Builder:
    """A whole model; add graphs, then call build."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "test"
        self.model.operatorCodes, self.model.subgraphs, self.model.metadata = [], [], []
        empty = schema.BufferT()
        self.model.buffers = [empty]

    def graph(self, name="encoder"):
        graph = Graph(self, name)
        self.model.subgraphs.append(graph.subgraph)
        return graph

    def buffer(self, data):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def opcode(self, code):
        for index, existing in enumerate(self.model.operatorCodes):
            if existing.builtinCode == code:
                return index
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
        self.model.operatorCodes.append(entry)
        return len(self.model.operatorCodes) - 1

    def build(self, metadata=True):
        """Return the finished file as bytes, with the Stapes metadata unless it is refused."""
        if metadata:
            entry = schema.MetadataT()
            entry.name, entry.buffer = spec.MODEL_METADATA_NAME, self.buffer(metadata_block())
            self.model.metadata.append(entry)
        packer = flatbuffers.Builder(1024)
        packer.Finish(self.model.Pack(packer), b"TFL3")
        return seal(bytes(packer.Output()))


def metadata_block():
    """Metadata as docs/model_file.md wants it, with a zero checksum."""
    units = b"".join(name.encode() + b"\0" for name in UNITS)
    header = struct.pack(
        spec.METADATA_STRUCT,
        spec.MAGIC_METADATA.encode(),
        spec.VERSION_METADATA,
        spec.METADATA_BYTES,
        0,
        spec.AUDIO_SAMPLE_RATE_HZ,
        spec.FRONTEND_FRAME_LENGTH,
        spec.FRONTEND_FRAME_SHIFT,
        spec.FRONTEND_MEL_BANDS,
        spec.FRONTEND_STACK,
        2,
        len(UNITS),
        0,
        1024,
        10,
        0,
        binascii.crc32(units),
    )
    return header + struct.pack(f"<{spec.FRONTEND_MEL_BANDS}h", *range(spec.FRONTEND_MEL_BANDS)) + units


def seal(model):
    """Write the file checksum into the metadata header."""
    at = model.find(b"STPM")
    if at < 0:
        return model
    at += spec.METADATA_FILE_CRC_OFFSET
    zeroed = model[:at] + bytes(4) + model[at + 4 :]
    return model[:at] + struct.pack("<I", binascii.crc32(zeroed)) + model[at + 4 :]
