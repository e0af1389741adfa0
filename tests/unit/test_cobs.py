"""The board's in-place COBS against the PyPI package `cobs`."""

import pytest
from cobs import cobs as oracle
from hypothesis import example, given
from hypothesis import strategies as st
from stapes_reference import cobs

PAYLOADS = st.one_of(
    st.binary(max_size=1100),
    st.integers(0, 1100).map(bytes),
    st.integers(0, 1100).map(lambda n: b"\x07" * n),
    st.lists(st.sampled_from([b"\0", b"\x01" * 253, b"\x01" * 254, b"\x01" * 255]), max_size=4).map(b"".join),
)


@given(PAYLOADS, st.integers(0, 5))
@example(b"", 0)
@example(b"\x01" * 254, 0)
@example(b"\x01" * 254 + b"\0", 3)
@example(b"\x01" * 255, 3)
def test_encode_equals_the_package(payload, start):
    buffer = bytearray(b"\xee" * (start + 1) + payload + b"\xee" * 8)
    end = cobs.encode(buffer, start, start + 1 + len(payload))
    assert bytes(buffer[start:end]) == oracle.encode(payload)


@given(PAYLOADS, st.integers(0, 5))
@example(b"\x01" * 508 + b"\0\0", 3)
def test_decode_returns_the_payload(payload, start):
    encoded = oracle.encode(payload)
    buffer = bytearray(start) + encoded + b"\0"
    end = cobs.decode(buffer, start, start + len(encoded))
    assert bytes(buffer[start + 1 : end]) == payload


@given(st.binary(max_size=600))
def test_decode_agrees_on_anything(data):
    data = data.replace(b"\0", b"")
    buffer = bytearray(data)
    end = cobs.decode(buffer, 0, len(data))
    if not data:
        assert end == -1
        return
    try:
        expected = oracle.decode(data)
    except oracle.DecodeError:
        assert end == -1
    else:
        assert bytes(buffer[1:end]) == expected


@pytest.mark.parametrize("frame", [b"\x05ab", b"\x02a\0b", b"\0", b"\xff" + b"a" * 253, b"\x03ab\x04c"])
def test_decode_refuses_damage(frame):
    assert cobs.decode(bytearray(frame), 0, len(frame)) == -1
