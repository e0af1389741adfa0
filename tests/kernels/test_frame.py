"""The link's frames: C equals its twin on every stream, and both equal the PyPI package `cobs` and zlib."""

import struct
import zlib
from array import array

import pytest
import stapes_spec as spec
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

START = spec.FRAME_BUFFER_START
PAYLOAD = START + 1 + spec.FRAME_BYTES
RUNS = st.sampled_from([b"\0", b"\x01" * 253, b"\x02" * 254, b"\x03" * 255, b"ab"])
PAYLOADS = st.one_of(
    st.binary(max_size=spec.FRAME_PAYLOAD),
    st.lists(RUNS, max_size=4).map(b"".join),
)


def fields_of(kind=18, sequence=0, number=0, ack=0, piece=0, ack_piece=0, tag=0):
    fields = array("I", [0] * spec.FRAME_INDEX_COUNT)
    fields[spec.FRAME_INDEX_TYPE :] = array("I", [kind, 0, sequence, number, ack, piece, ack_piece, tag])
    return fields


def sealed(kernels, payload, block=1, **header):
    out = bytearray(2048)
    size = kernels.frame_seal(out, fields_of(**header), payload, block)
    assert size > 0 and size % block == 0
    return bytes(out[:size])


def fresh_state():
    state = array("I", [0] * spec.FRAME_INDEX_COUNT)
    state[spec.FRAME_INDEX_FILL] = state[spec.FRAME_INDEX_SCAN] = START
    state[spec.FRAME_INDEX_END] = PAYLOAD
    return state


def told(kernels, pieces, room=2000):
    """Every answer of frame_take to a stream that comes in pieces, with its state and payload."""
    buffer, state, answers = bytearray(START + room), fresh_state(), []
    for piece in pieces:
        rest = piece
        while rest:
            fill = state[spec.FRAME_INDEX_FILL]
            part, rest = rest[: len(buffer) - fill], rest[len(buffer) - fill :]
            buffer[fill : fill + len(part)] = part
            state[spec.FRAME_INDEX_FILL] = fill + len(part)
            while found := kernels.frame_take(buffer, state):
                end = state[spec.FRAME_INDEX_END]
                answers.append((found, state.tolist(), bytes(buffer[PAYLOAD:end]) if found == 1 else b""))
    return answers


@settings(deadline=None)  # the first builds the kernels
@given(PAYLOADS, st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 64]))
def test_a_frame_is_what_the_packages_make_of_it(native, reference, payload, number, block):
    header = {"kind": 18, "sequence": 0xFFFF, "number": number, "ack": 9, "piece": 128, "ack_piece": 1, "tag": 0xABCD}
    body = struct.pack(spec.FRAME_STRUCT, 18, spec.VERSION_PROTOCOL, 0xFFFF, number, 9, 128, 1, 0xABCD) + payload
    expected = cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
    expected += bytes(-len(expected) % block)
    for kernels in (native, reference):
        assert sealed(kernels, payload, block, **header) == expected
        ((found, state, taken),) = told(kernels, [expected])
        assert (found, taken) == (1, payload)
        assert state[spec.FRAME_INDEX_TYPE :] == [18, spec.VERSION_PROTOCOL, 0xFFFF, number, 9, 128, 1, 0xABCD]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_c_equals_its_twin_on_damaged_streams(native, reference, data):
    stream = bytearray()
    for payload in data.draw(st.lists(PAYLOADS, max_size=4)):
        stream += sealed(native, payload, data.draw(st.sampled_from([1, 64])))
    for _ in range(data.draw(st.integers(0, 3))):
        if stream:
            at = data.draw(st.integers(0, len(stream) - 1))
            stream[at] = data.draw(st.integers(0, 255))
    stream += data.draw(st.binary(max_size=300))
    pace = data.draw(st.integers(1, 700))
    pieces = [bytes(stream[at : at + pace]) for at in range(0, len(stream), pace)]
    room = data.draw(st.sampled_from([64, 200, 1200, 2000]))
    assert told(native, pieces, room) == told(reference, pieces, room)


def test_sequence_numbers_count_and_wrap(native, reference):
    for kernels in (native, reference):
        fields = fields_of(sequence=0xFFFF)
        for expected in (0, 1):
            assert kernels.frame_seal(bytearray(2048), fields, b"x", 1) > 0
            assert fields[spec.FRAME_INDEX_SEQUENCE] == expected


@pytest.mark.parametrize("k, value", [("FILL", 2), ("FILL", 104), ("SCAN", 2), ("SCAN", 50), ("NEXT", 50)])
def test_a_state_that_does_not_fit_is_refused(native, reference, k, value):
    for kernels in (native, reference):
        state = fresh_state()
        state[getattr(spec, f"FRAME_INDEX_{k}")] = value
        assert kernels.frame_take(bytearray(103), state) == -spec.ERROR_ARGUMENT
        assert kernels.frame_take(bytearray(103), fresh_state()[:-1]) == -spec.ERROR_ARGUMENT


def test_what_does_not_fit_is_refused(native, reference):
    for kernels in (native, reference):
        most = spec.FRAME_PAYLOAD
        longest = most + spec.FRAME_SEAL_BYTES
        assert kernels.frame_seal(bytearray(4096), fields_of(), bytes(longest), 1) > longest
        assert kernels.frame_seal(bytearray(4096), fields_of(), bytes(longest + 1), 1) == -spec.ERROR_ARGUMENT
        assert kernels.frame_seal(bytearray(4096), fields_of(), b"", 0) == -spec.ERROR_ARGUMENT
        assert kernels.frame_seal(bytearray(4096), fields_of(), b"", most + 1) == -spec.ERROR_ARGUMENT
        assert kernels.frame_seal(bytearray(4096), fields_of()[:-1], b"", 1) == -spec.ERROR_ARGUMENT
        least = 16 + 4 + 1 + 1
        assert kernels.frame_seal(bytearray(least), fields_of(), b"", 1) == least
        assert kernels.frame_seal(bytearray(least - 1), fields_of(), b"", 1) == -spec.ERROR_BUFFER_SMALL
