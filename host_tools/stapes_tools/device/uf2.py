"""UF2, the format that the boot ROMs of RP2040 and RP2350 flash.

Reference: Microsoft's UF2 file format, https://github.com/microsoft/uf2
"""

import struct
from collections.abc import Mapping
from pathlib import Path

from .errors import DeviceError

RP2040_FAMILY = 0xE48BFF56
_BLOCK_BYTES = 512
_PAYLOAD_BYTES = 256
_FAMILY_PRESENT = 0x2000
_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_HEADER = struct.Struct("<8I")
_END = struct.Struct("<I")
_ADVICE = "build it again with make firmware"


def write_uf2(path: Path, parts: Mapping[int, bytes], family: int = RP2040_FAMILY) -> None:
    """Write pieces of flash as UF2.

    Args:
        path: the file.
        parts: address (a multiple of 256) to contents; a last short block is padded with 0xff.
        family: which boot ROM takes it.
    Raises:
        DeviceError: parts overlap, or begin within a block.
    """
    _check_parts(path, parts)
    blocks = [
        (address + offset, data[offset : offset + _PAYLOAD_BYTES])
        for address, data in sorted(parts.items())
        for offset in range(0, len(data), _PAYLOAD_BYTES)
    ]
    with open(path, "wb") as file:
        for number, (address, data) in enumerate(blocks):
            payload = data.ljust(_PAYLOAD_BYTES, b"\xff").ljust(_BLOCK_BYTES - _HEADER.size - _END.size, b"\0")
            file.write(
                _HEADER.pack(*_MAGIC[:2], _FAMILY_PRESENT, address, _PAYLOAD_BYTES, number, len(blocks), family)
                + payload
                + _END.pack(_MAGIC[2])
            )


def _check_parts(path: Path, parts: Mapping[int, bytes]) -> None:
    end = 0
    for address, data in sorted(parts.items()):
        if address % _PAYLOAD_BYTES:
            raise DeviceError(f"{path}: a part begins at {address:#x}: UF2 needs a multiple of {_PAYLOAD_BYTES}")
        if address < end:
            raise DeviceError(f"{path}: parts overlap: one ends at {end:#x}, the next begins at {address:#x}")
        end = address + len(data)


def read_uf2(path: Path, family: int | None = None) -> dict[int, bytes]:
    """The pieces of flash in a UF2 file: address to contents, neighbours joined.

    Args:
        path: the file.
        family: the boot ROM that it must be meant for; None: any, but one.
    Raises:
        DeviceError: the file is not UF2, is cut short, is for another boot ROM, or its blocks overlap.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DeviceError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    if not raw or len(raw) % _BLOCK_BYTES:
        raise DeviceError(f"{path}: not a UF2 file, or cut short; {_ADVICE}")
    parts: dict[int, bytearray] = {}
    start = end = -1
    count = len(raw) // _BLOCK_BYTES
    for number in range(count):
        address, data, family = _block(path, raw, number, count, family)
        if address < end:
            raise DeviceError(f"{path}: block {number} overlaps the one before it at {address:#x}; {_ADVICE}")
        if address != end:
            start = address
            parts[start] = bytearray()
        parts[start] += data
        end = address + len(data)
    return {address: bytes(data) for address, data in parts.items()}


def _block(path: Path, raw: bytes, number: int, count: int, family: int | None) -> tuple[int, bytes, int]:
    """A checked block: its address, its contents, and the family that it names."""
    offset = number * _BLOCK_BYTES
    first, second, flags, address, size, its_number, its_count, its_family = _HEADER.unpack_from(raw, offset)
    (last,) = _END.unpack_from(raw, offset + _BLOCK_BYTES - _END.size)
    if (first, second, last) != _MAGIC or size > _BLOCK_BYTES - _HEADER.size - _END.size:
        raise DeviceError(f"{path}: block {number} is not UF2; {_ADVICE}")
    if (its_number, its_count) != (number, count):
        raise DeviceError(f"{path}: block {number} of {count} says that it is {its_number} of {its_count}; {_ADVICE}")
    if not flags & _FAMILY_PRESENT or family not in (None, its_family):
        meant = f"{family:#010x}" if family else "none"
        raise DeviceError(f"{path}: block {number} is for family {its_family:#010x}, not {meant}: for another chip")
    return address, raw[offset + _HEADER.size : offset + _HEADER.size + size], its_family
