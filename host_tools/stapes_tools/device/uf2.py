"""UF2, the format that the RP2040's boot ROM flashes.

Reference: Microsoft's UF2 file format, https://github.com/microsoft/uf2
"""

import struct
from pathlib import Path

from .errors import DeviceError

RP2040_FAMILY = 0xE48BFF56
_BLOCK_BYTES = 512
_PAYLOAD_BYTES = 256
_FAMILY_PRESENT = 0x2000
_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_HEADER = struct.Struct("<8I")


def write_uf2(path: Path, parts: dict[int, bytes]) -> None:
    """Write pieces of flash as UF2.

    Args:
        parts: address (a multiple of 256) to contents; a last short block is padded with 0xff.
    """
    blocks = [
        (address + offset, data[offset : offset + _PAYLOAD_BYTES])
        for address, data in sorted(parts.items())
        for offset in range(0, len(data), _PAYLOAD_BYTES)
    ]
    with open(path, "wb") as file:
        for number, (address, data) in enumerate(blocks):
            payload = data.ljust(_PAYLOAD_BYTES, b"\xff").ljust(_BLOCK_BYTES - _HEADER.size - 4, b"\0")
            file.write(
                _HEADER.pack(*_MAGIC[:2], _FAMILY_PRESENT, address, _PAYLOAD_BYTES, number, len(blocks), RP2040_FAMILY)
                + payload
                + struct.pack("<I", _MAGIC[2])
            )


def read_uf2(path: Path) -> dict[int, bytes]:
    """The pieces of flash in a UF2 file: address to contents, neighbours joined.

    Raises:
        DeviceError: the file is not UF2, or is cut short.
    """
    raw = path.read_bytes()
    if not raw or len(raw) % _BLOCK_BYTES:
        raise DeviceError(f"{path}: not a UF2 file, or cut short; build it again with make firmware")
    parts: dict[int, bytearray] = {}
    start = end = -1
    for offset in range(0, len(raw), _BLOCK_BYTES):
        first, second, _, address, size, _, _, _ = _HEADER.unpack_from(raw, offset)
        if (first, second) != _MAGIC[:2] or size > _BLOCK_BYTES - _HEADER.size - 4:
            raise DeviceError(f"{path}: block {offset // _BLOCK_BYTES} is not UF2; build it again with make firmware")
        if address != end:
            start = address
            parts[start] = bytearray()
        parts[start] += raw[offset + _HEADER.size : offset + _HEADER.size + size]
        end = address + size
    return {address: bytes(data) for address, data in parts.items()}
