"""The metadata entry of a model file (layout.metadata of the specification)."""

import binascii
import struct
from dataclasses import astuple, dataclass, field, replace

import stapes_spec

from stapes_tools.convert.read import metadata_range
from stapes_tools.errors import UserError
from stapes_tools.grammar.units import units_block

_COPY_AGAIN = "copy it again from where it came from"
_Q10 = 1 << stapes_spec.Q_LOG_PROB_FRACTION_BITS


_ENDPOINT_END = stapes_spec.METADATA_BYTES + stapes_spec.ENDPOINT_BYTES


@dataclass(frozen=True)
class EndpointSettings:
    """When the end-pointers decide: layout.endpoint of the specification, from `stapes endpoint tune`.

    Args:
        speculative_threshold, final_threshold, retract_threshold: int8 logits of the net, 128: never.
        speculative_steps, final_steps: so many steps in a row at the threshold or above.
        complete_steps, closed_steps, partial_steps, no_word_steps: of the trailing rule.
        silence_steps: of the energy rule.
        lead_steps: by so many the rules speculate early.
    """

    speculative_threshold: int = 128
    final_threshold: int = 128
    retract_threshold: int = -128
    speculative_steps: int = 1
    final_steps: int = 1
    complete_steps: int = -(-stapes_spec.ENDPOINT_FINAL_TRAILING_MS // stapes_spec.FRONTEND_STEP_MS)
    closed_steps: int = -(-stapes_spec.ENDPOINT_CLOSED_TRAILING_MS // stapes_spec.FRONTEND_STEP_MS)
    partial_steps: int = -(-stapes_spec.ENDPOINT_PARTIAL_TRAILING_MS // stapes_spec.FRONTEND_STEP_MS)
    no_word_steps: int = -(-stapes_spec.ENDPOINT_NO_WORD_TRAILING_MS // stapes_spec.FRONTEND_STEP_MS)
    silence_steps: int = -(-stapes_spec.ENDPOINT_SILENCE_MS // stapes_spec.FRONTEND_STEP_MS)
    lead_steps: int = -(-stapes_spec.ENDPOINT_LEAD_MS // stapes_spec.FRONTEND_STEP_MS)

    def encode(self, rejection: int) -> bytes:
        """The block behind the header of a model's metadata; rejection: see Metadata."""
        values = astuple(self)
        return struct.pack(stapes_spec.ENDPOINT_STRUCT, *values[:3], rejection, *values[3:])

    @classmethod
    def decode(cls, block: bytes) -> tuple["EndpointSettings", int]:
        """Read such a block: the settings, and the rejection."""
        values = struct.unpack_from(stapes_spec.ENDPOINT_STRUCT, block)
        return cls(*values[:3], *values[4:]), values[3]

    def config(self, rule: int) -> list[int]:
        """What endpoint_init takes, for one of stapes_spec's ENDPOINT_RULE_…."""
        return [rule, *astuple(self)]


def _flat_prior() -> tuple[int, ...]:
    return (0,) * stapes_spec.FRONTEND_MEL_BANDS


@dataclass(frozen=True)
class Metadata:
    """What the front end and the search must know about a model.

    Args:
        units: names of the output units, unit 0 being the blank.
        prior: int16 [40], mean log-mel of the training data, Q5.10.
        blank_penalty: Q.10 nats, subtracted from the blank's log-probability.
        start_discount: Q.10 nats by which the penalty is less before the first unit.
        language_scale: Q.10, multiplies graph weights.
        flush_steps: steps of silence the encoder needs after the last sample.
        endpoint: None before `stapes endpoint tune`.
        hears_context: whether scores depend on the last units; False gives the predictor a blank always.
        rejection: Q.10 nats of doubt per word (stapes.lattice.Lattice.doubt) beyond which nobody meant a command; 0:
            none is rejected. It lies in the end-pointers' block, so a model without one has none.
    """

    units: tuple[str, ...]
    prior: tuple[int, ...] = field(default_factory=_flat_prior)
    blank_penalty: int = 0
    language_scale: int = _Q10
    flush_steps: int = stapes_spec.ENDPOINT_FLUSH_STEPS
    endpoint: EndpointSettings | None = None
    hears_context: bool = True
    start_discount: int = 0
    rejection: int = 0


def encode_metadata(metadata: Metadata, context_size: int) -> bytes:
    """The entry's buffer, its file checksum still zero.

    Args:
        metadata: what it says.
        context_size: units that the predictor sees, if the search tells it.
    Raises:
        UserError: a field does not fit, or a unit name is empty, repeated or holds a NUL.
    """
    units = metadata.units
    if not all(units) or any("\0" in name for name in units) or len(set(units)) != len(units):
        raise UserError("unit names must be distinct, not empty and without NUL")
    if len(metadata.prior) != stapes_spec.FRONTEND_MEL_BANDS:
        raise UserError("the prior has {} bands, must have {}".format(len(metadata.prior), 40))
    if metadata.rejection and metadata.endpoint is None:
        raise UserError("a model without end-pointers rejects nothing", advice="run `stapes endpoint tune` first")
    block = units_block(units)
    try:
        endpoint = metadata.endpoint.encode(metadata.rejection) if metadata.endpoint else b""
        header = struct.pack(
            stapes_spec.METADATA_STRUCT,
            stapes_spec.MAGIC_METADATA.encode(),
            stapes_spec.VERSION_METADATA,
            stapes_spec.METADATA_BYTES + len(endpoint),
            0,
            stapes_spec.AUDIO_SAMPLE_RATE_HZ,
            stapes_spec.FRONTEND_FRAME_LENGTH,
            stapes_spec.FRONTEND_FRAME_SHIFT,
            stapes_spec.FRONTEND_MEL_BANDS,
            stapes_spec.FRONTEND_STACK,
            context_size if metadata.hears_context else 0,
            len(units),
            metadata.blank_penalty,
            metadata.language_scale,
            metadata.flush_steps,
            metadata.start_discount,
            binascii.crc32(block),
        )
        prior = struct.pack("<{}h".format(len(metadata.prior)), *(int(value) for value in metadata.prior))
    except struct.error as fault:
        raise UserError("metadata: {}".format(fault)) from fault
    return header + endpoint + prior + block


def decode_metadata(data: bytes) -> Metadata:
    """The metadata of a whole model file.

    Raises:
        UserError: not a model, no metadata, or metadata that is damaged or of another version.
    """
    offset, length = metadata_range(data, stapes_spec.MODEL_METADATA_NAME)
    if length < stapes_spec.METADATA_BYTES or data[offset : offset + 4] != stapes_spec.MAGIC_METADATA.encode():
        raise UserError("the model has no Stapes metadata", advice="use a model made by Stapes")
    entry = bytes(data[offset : offset + length])
    fields = struct.unpack_from(stapes_spec.METADATA_STRUCT, entry)
    if fields[1] != stapes_spec.VERSION_METADATA:
        raise UserError(
            "the model's version is {}, these tools read {}".format(fields[1], stapes_spec.VERSION_METADATA),
            advice="convert it again with this version of Stapes",
        )
    prior_at, bands, units = fields[2], fields[7], fields[10]
    try:
        prior = struct.unpack_from("<{}h".format(bands), entry, prior_at)
        # What follows the last NUL is no name.
        names = tuple(name.decode() for name in entry[prior_at + 2 * bands :].split(b"\0")[:-1][:units])
    except (struct.error, UnicodeDecodeError) as fault:
        raise UserError("the model's metadata is damaged ({})".format(fault), advice=_COPY_AGAIN) from None
    if len(names) < units:
        raise UserError("the model's metadata names {} of {} units".format(len(names), units), advice=_COPY_AGAIN)
    blank_penalty, language_scale, flush_steps, start_discount = fields[11:15]
    has_endpoint = prior_at >= _ENDPOINT_END
    endpoint, rejection = None, 0
    if has_endpoint:
        endpoint, rejection = EndpointSettings.decode(entry[stapes_spec.METADATA_BYTES :])
    search = (blank_penalty, language_scale, flush_steps)
    return Metadata(names, prior, *search, endpoint, fields[9] > 0, start_discount, rejection)


def context_size(data: bytes) -> int:
    """How many of the last units the scores of a model with metadata depend on."""
    offset, _ = metadata_range(data, stapes_spec.MODEL_METADATA_NAME)
    return data[offset + stapes_spec.METADATA_CONTEXT_SIZE_OFFSET]


def seal(data: bytes) -> bytes:
    """Put the CRC-32 of the whole file, its own four bytes taken as zero, into the metadata."""
    offset, length = metadata_range(data, stapes_spec.MODEL_METADATA_NAME)
    assert length >= stapes_spec.METADATA_BYTES, "no metadata to seal"
    sealed = bytearray(data)
    at = offset + stapes_spec.METADATA_FILE_CRC_OFFSET
    sealed[at : at + 4] = bytes(4)
    struct.pack_into("<I", sealed, at, binascii.crc32(sealed))
    return bytes(sealed)


def is_sealed(data: bytes) -> bool:
    """Whether the file's checksum matches its contents."""
    offset, length = metadata_range(data, stapes_spec.MODEL_METADATA_NAME)
    if length < stapes_spec.METADATA_BYTES:
        return False
    at = offset + stapes_spec.METADATA_FILE_CRC_OFFSET
    return seal(data)[at : at + 4] == bytes(data[at : at + 4])


def with_search_settings(
    data: bytes, blank_penalty: float, language_scale: float, *, hears_context: bool | None = None
) -> bytes:
    """The same model file with other search settings in its metadata.

    Args:
        data: a model file; of one unit of context, if hears_context is given.
        blank_penalty: nats, subtracted from the blank's log-probability.
        language_scale: multiplies graph weights.
        hears_context: whether the predictor is told the last unit; None: as it is.
    """
    changed = with_settings(data, blank_penalty=blank_penalty, language_scale=language_scale)
    if hears_context is None:
        return changed
    return _with_metadata(changed, replace(decode_metadata(changed), hears_context=hears_context))


def with_settings(data: bytes, **nats: float) -> bytes:
    """The same model file with other metadata: blank_penalty, start_discount, language_scale, rejection, in nats."""
    values = {name: round(value * _Q10) for name, value in nats.items()}
    return _with_metadata(data, replace(decode_metadata(data), **values))


def _with_metadata(data: bytes, metadata: Metadata) -> bytes:
    offset, length = metadata_range(data, stapes_spec.MODEL_METADATA_NAME)
    entry = encode_metadata(metadata, max(context_size(data), 1))
    return seal(data[:offset] + entry + data[offset + length :])
