"""Frames of the link, host side: COBS(header, payload, CRC-32), then zero bytes up to a whole block."""

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import stapes_spec as spec
from cobs import cobs

_CRC_BYTES = 4
_LONGEST = cobs.max_encoded_length(spec.FRAME_BYTES + spec.FRAME_MAX_PAYLOAD + _CRC_BYTES)


class FrameError(Exception):
    """A frame is damaged; code is one of spec.ERRORS."""

    def __init__(self, code: int, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True)
class Frame:
    """A frame that arrived whole."""

    kind: int
    sequence: int
    payload: bytes


def encode_frame(kind: int, sequence: int, payload: bytes = b"") -> bytes:
    """Return a frame as it goes over the wire, padded to a whole number of blocks.

    Args:
        kind: a type of spec.toml's frame_type.
        sequence: 0 for the first frame sent, then one more each time, modulo 65536.
        payload: at most max_payload bytes.
    Raises:
        ValueError: the payload is too long.
    """
    if len(payload) > spec.FRAME_MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(payload)} bytes: the most is {spec.FRAME_MAX_PAYLOAD}")
    body = struct.pack(spec.FRAME_STRUCT, kind, spec.VERSION_PROTOCOL, sequence & 0xFFFF) + payload
    encoded = cobs.encode(body + struct.pack("<I", binascii.crc32(body))) + b"\0"
    return encoded + bytes(-len(encoded) % spec.FRAME_BLOCK_BYTES)


def decode_frame(encoded: bytes) -> Frame:
    """Return the frame in encoded, which has no zero bytes.

    Raises:
        FrameError: it is damaged, or of another protocol version.
    """
    try:
        body = cobs.decode(encoded)
    except cobs.DecodeError as error:
        raise FrameError(spec.ERROR_LINK_FRAME, str(error)) from None
    if len(body) < spec.FRAME_BYTES + _CRC_BYTES:
        raise FrameError(spec.ERROR_LINK_FRAME, f"{len(body)} bytes")
    (crc,) = struct.unpack_from("<I", body, len(body) - _CRC_BYTES)
    if binascii.crc32(body[:-_CRC_BYTES]) != crc:
        raise FrameError(spec.ERROR_LINK_FRAME, "wrong checksum")
    kind, version, sequence = struct.unpack_from(spec.FRAME_STRUCT, body)
    if version != spec.VERSION_PROTOCOL:
        raise FrameError(spec.ERROR_LINK_VERSION, f"the board's is {version}, ours {spec.VERSION_PROTOCOL}")
    return Frame(kind, sequence, body[spec.FRAME_BYTES : -_CRC_BYTES])


class FrameParser:
    """Cuts a stream of bytes into frames; feed() it what arrives."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._sequence = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that data completes.

        Raises:
            FrameError: a frame is damaged or one before it is missing. The damaged frame is
                dropped: call feed(b"") for those behind it.
        """
        self._pending += data
        while (zero := self._pending.find(0)) >= 0:
            encoded = bytes(self._pending[:zero])
            del self._pending[: zero + 1]
            if encoded:
                yield self._checked(decode_frame(encoded))
        if len(self._pending) > _LONGEST:
            self._pending.clear()
            raise FrameError(spec.ERROR_LINK_FRAME, "no end of frame")

    def _checked(self, frame: Frame) -> Frame:
        expected = self._sequence
        self._sequence = (frame.sequence + 1) & 0xFFFF
        if frame.sequence != expected:
            raise FrameError(spec.ERROR_LINK_FRAME, f"frame {frame.sequence} came where {expected} was due")
        return frame
