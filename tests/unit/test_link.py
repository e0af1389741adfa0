"""Frames between board and host: every damage is reported, and the next frame is found again."""

import struct

import pytest
import stapes_spec as spec
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes.link import FrameReader, FrameWriter
from stapes_tools.device.link import FrameError, FrameParser, encode_frame

AUDIO = spec.FRAME_TYPE_AUDIO


class Pipe:
    """Both ends of a stream in memory."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def readinto(self, buffer):
        count = min(len(buffer), len(self.data))
        buffer[:count] = self.data[:count]
        del self.data[:count]
        return count

    def write(self, data):
        self.data += bytes(data)


def received(data):
    """What the board makes of data: types, payloads of whole frames, negative codes."""
    reader = FrameReader(Pipe(data))
    found = []
    while kind := reader.receive():
        payload = bytes(reader.buffer[FrameReader.PAYLOAD : reader.payload_end])
        found.append((kind, payload) if kind > 0 else kind)
    return found


def test_payload_is_aligned_for_int16():
    assert FrameReader.PAYLOAD % 4 == 0


@given(st.lists(st.binary(max_size=spec.FRAME_BOARD_PAYLOAD), max_size=5))
def test_host_to_board(payloads):
    data = b"".join(encode_frame(AUDIO, k, payload) for k, payload in enumerate(payloads))
    assert len(data) % spec.FRAME_BLOCK_BYTES == 0
    assert received(data) == [(AUDIO, payload) for payload in payloads]


@given(st.lists(st.binary(max_size=spec.FRAME_BOARD_PAYLOAD), max_size=5), st.integers(1, 100))
def test_board_to_host(payloads, pace):
    pipe = Pipe()
    writer = FrameWriter(pipe)
    for payload in payloads:
        writer.send(spec.FRAME_TYPE_EVENT, payload[:7], payload[7:])
    parser = FrameParser()
    frames = []
    for at in range(0, len(pipe.data), pace):
        frames += parser.feed(bytes(pipe.data[at : at + pace]))
    assert [frame.payload for frame in frames] == payloads
    assert [frame.sequence for frame in frames] == list(range(len(payloads)))


@settings(max_examples=300)
@given(st.binary(min_size=40, max_size=1000), st.data())
def test_a_damaged_frame_costs_itself_and_the_board_goes_on(payload, data):
    first, second, third = (encode_frame(AUDIO, k, payload) for k in range(3))
    at = data.draw(st.integers(0, len(second) - 1))
    damage = data.draw(st.sampled_from(["change", "drop", "double"]))
    middle = bytearray(second)
    if damage == "change":
        middle[at] ^= data.draw(st.integers(1, 255))
    elif damage == "drop":
        del middle[at]
    else:
        middle.insert(at, middle[at])
    found = received(first + bytes(middle) + third + bytes(2 * spec.FRAME_BLOCK_BYTES))
    assert found[0] == (AUDIO, payload)
    # Damage to the padding may do no harm; damage to the frame is reported, and so is the gap it leaves.
    if found[1:] != [(AUDIO, payload)] * 2:
        assert -spec.ERROR_LINK_FRAME in found[1:]
        assert all(item in (-spec.ERROR_LINK_FRAME, (AUDIO, payload)) for item in found)


def test_the_frame_after_the_gap_is_whole_again():
    frames = [encode_frame(AUDIO, k, bytes([k])) for k in range(4)]
    lost = frames[0] + frames[1][1:] + frames[2] + frames[3] + bytes(64)
    assert received(lost) == [(AUDIO, b"\0"), -spec.ERROR_LINK_FRAME, -spec.ERROR_LINK_FRAME, (AUDIO, b"\3")]


def test_board_refuses_a_frame_without_end_and_then_recovers():
    endless = b"\x55" * 5000 + b"\0" + bytes(-5001 % 64)
    assert received(endless + encode_frame(AUDIO, 0, b"ab")) == [-spec.ERROR_LINK_FRAME, (AUDIO, b"ab")]


def test_board_refuses_another_protocol_version():
    frame = bytearray(8)
    struct.pack_into(spec.FRAME_STRUCT, frame, 0, AUDIO, spec.VERSION_PROTOCOL + 1, 0)
    import binascii

    from cobs import cobs

    body = bytes(frame[: spec.FRAME_BYTES])
    wire = cobs.encode(body + struct.pack("<I", binascii.crc32(body))) + b"\0"
    assert received(wire + bytes(-len(wire) % 64)) == [-spec.ERROR_LINK_VERSION]
    with pytest.raises(FrameError) as caught:
        list(FrameParser().feed(wire))
    assert caught.value.code == spec.ERROR_LINK_VERSION


@pytest.mark.parametrize("at", [0, 3, 6])
def test_host_reports_damage(at):
    pipe = Pipe()
    FrameWriter(pipe).send(spec.FRAME_TYPE_EVENT, b"abc")
    pipe.data[at] ^= 1
    with pytest.raises(FrameError) as caught:
        list(FrameParser().feed(bytes(pipe.data)))
    assert caught.value.code == spec.ERROR_LINK_FRAME


def test_host_reports_a_missing_frame():
    pipe = Pipe()
    writer = FrameWriter(pipe)
    writer.send(spec.FRAME_TYPE_EVENT, b"a")
    pipe.data.clear()
    writer.send(spec.FRAME_TYPE_EVENT, b"b")
    with pytest.raises(FrameError, match="frame 1 came where 0 was due"):
        list(FrameParser().feed(bytes(pipe.data)))


def test_host_does_not_collect_for_ever():
    parser = FrameParser()
    with pytest.raises(FrameError, match="no end of frame"):
        for _ in range(1000):
            list(parser.feed(b"\x55" * 100))


def test_too_long_a_payload_is_refused():
    with pytest.raises(ValueError, match="the most is"):
        encode_frame(AUDIO, 0, bytes(spec.FRAME_MAX_PAYLOAD + 1))
