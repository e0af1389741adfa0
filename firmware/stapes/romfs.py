"""Why there is no file in the board's ROMFS: it is empty, it is damaged, or the file was never there.

Reference: MicroPython's extmod/vfs_rom.c; the host's writer is stapes_tools.device.romfs.
"""

import stapes_spec as spec

from stapes.errors import StapesError

MOUNT = "/rom"
_MAGIC = b"\xd2\xcd\x31"
_ERASED = b"\xff\xff\xff"


def diagnose(error, partition=None):
    """Return the error that says best why a file of the ROMFS could not be read.

    Args:
        error: StapesError of any kind.
        partition: buffer, the ROMFS; by default the board's.
    Returns:
        StapesError: romfs_missing or romfs_damaged where that is why, else the same.
    """
    if error.code != spec.ERROR_FILE or not error.where.startswith(MOUNT):
        return error
    data = partition or _board_partition()
    if data is None:
        return error
    begin = bytes(data[: len(_MAGIC)])
    if begin == _ERASED or begin == b"\0\0\0":
        return StapesError(spec.ERROR_ROMFS_MISSING, MOUNT)
    found = _damage(data) if begin == _MAGIC else "its first bytes are wrong"
    return StapesError(spec.ERROR_ROMFS_DAMAGED, MOUNT, found) if found else error


def _board_partition():
    try:
        from vfs import rom_ioctl

        return memoryview(rom_ioctl(2, 0))
    except (ImportError, OSError, TypeError):
        return None


def _damage(data):
    """Return what is wrong with the records, "" if nothing is."""
    size, at = _number(data, len(_MAGIC))
    end = at + size
    if end > len(data):
        return "%d bytes in a partition of %d" % (end, len(data))
    while at < end:
        kind, at = _number(data, at)
        size, at = _number(data, at)
        if kind == 0 or at + size > end:
            return "record at byte %d" % at
        at += size
    return ""


def _number(data, at):
    """Return (a number of 7-bit groups, high group first, and where it ends)."""
    value = 0
    for at in range(at, min(at + 5, len(data))):
        value = value << 7 | data[at] & 0x7F
        if data[at] < 0x80:
            return value, at + 1
    return 1 << 30, len(data)
