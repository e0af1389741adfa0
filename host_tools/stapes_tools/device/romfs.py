"""ROMFS images whose files lie on 16-byte boundaries, so that the board reads models in place.

MicroPython reads a ROMFS straight from flash and lends a file's bytes as a memoryview. The
Cortex-M0+ faults on an unaligned word, and the format itself aligns nothing: padding records
put every file where it must be.

Reference: MicroPython docs, reference/romfs; extmod/vfs_rom.c.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import stapes_spec

from .boards import load_board
from .errors import DeviceError
from .uf2 import read_uf2, write_uf2

MAGIC = b"\xd2\xcd\x31"
ALIGNMENT = stapes_spec.MODEL_ALIGNMENT
_PADDING, _VERBATIM, _FILE = 1, 2, 5
# Fixed width of the outermost length, so that every file's offset is known before the end is.
_LENGTH_BYTES = 5


@dataclass(frozen=True)
class RomFile:
    """A file found in a ROMFS image: its name, where its contents begin, and the contents."""

    name: str
    offset: int
    data: bytes


def _uint(value: int, width: int = 1) -> bytes:
    """A number in ROMFS's 7-bit groups, high group first, in at least width bytes."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * (width - len(groups))
    return bytes([0x80 | group for group in groups[:0:-1]] + groups[:1])


def _file_record(name: str, data: bytes) -> bytes:
    encoded = name.encode()
    payload = _uint(len(encoded)) + encoded + _uint(_VERBATIM) + _uint(len(data)) + data
    return _uint(_FILE) + _uint(len(payload)) + payload


def _padding(count: int) -> bytes:
    """A padding record of exactly count bytes, count >= 2."""
    return _uint(_PADDING) + _uint(count - 2) + bytes(count - 2)


def build_romfs(files: Mapping[str, bytes]) -> bytes:
    """A ROMFS image.

    Args:
        files: name (no folders) to contents.
    Returns:
        bytes: the image; each file's contents begin at a multiple of ALIGNMENT from its start.
    Raises:
        DeviceError: a name that the format or the board cannot hold.
    """
    image = bytearray(len(MAGIC) + _LENGTH_BYTES)
    for name, data in files.items():
        if not name or "/" in name or len(name.encode()) > 64:
            raise DeviceError(f"{name!r} cannot be a file name in ROMFS: give 1 to 64 bytes without a slash")
        record = _file_record(name, data)
        gap = -(len(image) + len(record) - len(data)) % ALIGNMENT
        if gap:
            image += _padding(gap if gap >= 2 else gap + ALIGNMENT)
        image += record
    body = len(image) - len(MAGIC) - _LENGTH_BYTES
    image[: len(MAGIC) + _LENGTH_BYTES] = MAGIC + _uint(body, _LENGTH_BYTES)
    return bytes(image)


def _read_uint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    while True:
        if offset >= len(data):
            raise DeviceError("ROMFS image is cut short; build it again")
        byte = data[offset]
        value, offset = value << 7 | byte & 0x7F, offset + 1
        if byte < 0x80:
            return value, offset


def parse_romfs(image: bytes) -> list[RomFile]:
    """The files of a ROMFS image without folders.

    Raises:
        DeviceError: not a ROMFS image, or cut short.
    """
    if image[: len(MAGIC)] != MAGIC:
        raise DeviceError("not a ROMFS image (its first bytes are wrong); build it again")
    length, begin = _read_uint(image, len(MAGIC))
    if begin + length > len(image):
        raise DeviceError(f"ROMFS image is cut short: {len(image)} of {begin + length} bytes; build it again")
    return list(_walk(image, begin, begin + length))


def _walk(image: bytes, begin: int, end: int) -> Iterator[RomFile]:
    while begin < end:
        kind, begin = _read_uint(image, begin)
        size, begin = _read_uint(image, begin)
        if kind == _FILE:
            name_length, at = _read_uint(image, begin)
            name = image[at : at + name_length].decode()
            _, at = _read_uint(image, at + name_length)
            length, at = _read_uint(image, at)
            yield RomFile(name, at, image[at : at + length])
        begin += size


def firmware_with_romfs(uf2: Path, files: Mapping[str, Path | bytes], target: Path, board: str = "rp2040_pico") -> Path:
    """Put files into a firmware image's ROMFS partition.

    Args:
        uf2: what make firmware built for the board.
        files: name on the board, under /rom, to a file or to contents.
        target: the UF2 file to write: firmware and partition in one.
    Returns:
        Path: target.
    Raises:
        DeviceError: the files do not fit into the partition, one cannot be read, or the firmware is for another chip.
    """
    layout = load_board(board)
    try:
        contents = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
    except OSError as error:
        raise DeviceError(f"{error.filename}: cannot be read: {error.strerror}") from None
    image = build_romfs(contents)
    if len(image) > layout.romfs_bytes:
        sizes = ", ".join(f"{name} {len(data)}" for name, data in contents.items())
        raise DeviceError(
            f"{board}: the files take {len(image)} bytes, its ROMFS holds {layout.romfs_bytes} ({sizes}); "
            "use a smaller model"
        )
    parts = read_uf2(uf2, layout.uf2_family)
    parts[layout.romfs_address] = image
    write_uf2(target, parts, layout.uf2_family)
    return target
