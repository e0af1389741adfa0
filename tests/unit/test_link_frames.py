"""Frames: every damage is noticed, and the next frame is found again."""

import struct

import pytest
import stapes_spec as spec
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes.link.frame import FRAME, FrameParser, FrameWriter

AUDIO = spec.FRAME_TYPE_AUDIO
PAYLOADS = st.lists(st.binary(max_size=spec.FRAME_PAYLOAD), max_size=5)


def encoded(payload, number=0, padded=True):
    return bytes(FrameWriter(padded).encode(AUDIO, number, 7, 1, 2, 0xABCD, payload))


def parsed(data, pace=None):
    """Payloads of whole frames, negative codes of others."""
    parser, found = FrameParser(), []
    view = memoryview(data)
    while view:
        view = view[parser.put(view[:pace]) :]
        while got := parser.take():
            found.append(bytes(parser.buffer[parser.PAYLOAD : parser.payload_end]) if got == FRAME else got)
    return found


def parsed_in_blocks(data):
    """The same through target(), as a board reads."""
    parser, found = FrameParser(), []
    while data:
        target = parser.target()
        count = min(len(target), len(data))
        target[:count] = data[:count]
        data = data[count:]
        parser.received(count)
        while got := parser.take():
            found.append(bytes(parser.buffer[parser.PAYLOAD : parser.payload_end]) if got == FRAME else got)
    return found


def test_payload_is_aligned_for_int16():
    assert FrameParser.PAYLOAD % 4 == 0


def test_header_comes_through():
    parser = FrameParser()
    parser.put(encoded(b"abc", 2**31 + 5))
    assert parser.take() == FRAME
    assert (parser.kind, parser.number, parser.ack, parser.tag) == (AUDIO, 2**31 + 5, 7, 0xABCD)
    assert parser.state[spec.FRAME_INDEX_PIECE] == 1 and parser.state[spec.FRAME_INDEX_ACK_PIECE] == 2
    assert parser.spent() and parser.take() == 0


@given(PAYLOADS, st.booleans(), st.integers(1, 100))
def test_frames_come_through_however_they_are_cut(payloads, padded, pace):
    data = b"".join(encoded(payload, padded=padded) for payload in payloads)
    if padded:
        assert len(data) % spec.FRAME_BLOCK_BYTES == 0
    assert parsed(data, pace) == payloads
    assert parsed_in_blocks(data) == payloads


@settings(max_examples=300)
@given(st.binary(min_size=40, max_size=1000), st.data())
def test_a_damaged_frame_costs_itself_and_its_neighbour_at_most(payload, data):
    first, second, third, last = (encoded(payload, k, padded=False) for k in range(4))
    at = data.draw(st.integers(0, len(second) - 1))
    middle = bytearray(second)
    damage = data.draw(st.sampled_from(["change", "drop", "double"]))
    if damage == "change":
        middle[at] ^= data.draw(st.integers(1, 255))
    elif damage == "drop":
        del middle[at]
    else:
        middle.insert(at, middle[at])
    found = parsed(first + bytes(middle) + third + last)
    assert found[0] == found[-1] == payload
    assert all(item in (payload, -spec.ERROR_LINK_FRAME) for item in found)
    # Only the zero that ends the frame can be doubled without harm.
    assert -spec.ERROR_LINK_FRAME in found or (damage == "double" and at == len(second) - 1)


def test_a_frame_without_end_is_refused_and_the_next_is_found():
    endless = b"\x55" * 5000 + b"\0"
    assert parsed(endless + encoded(b"ab")) == [-spec.ERROR_LINK_FRAME, b"ab"]


@pytest.mark.parametrize(
    "header", [struct.pack("<BBH", 1, 1, 0), bytes([1, spec.VERSION_PROTOCOL + 1]) + bytes(14), bytes([1, 255])]
)
def test_other_versions_are_known_by_their_second_byte(header):
    import binascii

    from cobs import cobs

    data = cobs.encode(header + struct.pack("<I", binascii.crc32(header))) + b"\0"
    assert parsed(data) == [-spec.ERROR_LINK_VERSION]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_are_survived(parts):
    data = b"".join(parts)
    for found in (parsed(data), parsed_in_blocks(data)):
        assert all(item in (-spec.ERROR_LINK_FRAME, -spec.ERROR_LINK_VERSION) for item in found)
    assert parsed(data + b"\0" + encoded(b"after"))[-1] == b"after"


def test_ctrl_c_of_somebody_at_a_prompt_is_known():
    for typed in (b"\r\x03", b"\x03\x03"):
        parser = FrameParser()
        parser.put(typed)
        assert parser.take() == 0 and parser.interrupted
    parser = FrameParser()
    parser.put(encoded(b"")[:20])
    assert parser.take() == 0 and not parser.interrupted
    assert 3 not in [getattr(spec, name) for name in dir(spec) if name.startswith("FRAME_TYPE_")]
