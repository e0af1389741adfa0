"""Replay the golden vectors on this interpreter's kernels: CPython and MicroPython alike.

Usage: run_golden.py DIRECTORY
On a board without arguments, set the global GOLDEN_DIRECTORY before running this file.

Uses stapes_kernels where that imports, else stapes_reference. Prints "OK n vectors" and the module's
name, or the first difference and exits with 1. Reads each file record by record, to fit in little RAM.
The format: trace.py.
"""

import os
import struct
import sys

MAGIC = b"STGV"
VERSION = 1
WHOLE = 0xFFFFFFFF
COMPARED_AT_ONCE = 256


class MismatchError(Exception):
    """The kernels answered something else; the message says where and what."""


def import_kernels():
    """Return the native kernel module, else the reference."""
    try:
        import stapes_kernels as kernels
    except ImportError:
        import stapes_reference as kernels
    return kernels


class Replay:
    """One trace file, replayed.

    Args:
        stream: the file, opened for reading bytes.
        kernels: module with the methods of st_methods.h.
    """

    def __init__(self, stream, kernels):
        self.stream = stream
        self.kernels = kernels
        self.slots = {}
        self.records = 0

    def unpack(self, code):
        return struct.unpack(code, self.stream.read(struct.calcsize(code)))

    def read_call(self):
        """Read a call and make it; return the method's name and its result."""
        name = self.stream.read(self.unpack("<B")[0]).decode()
        arguments = []
        for _ in range(self.unpack("<B")[0]):
            if self.stream.read(1) == b"i":
                arguments.append(self.unpack("<i")[0])
            else:
                slot, offset, length = self.unpack("<BII")
                buffer = self.slots[slot]
                arguments.append(buffer if length == WHOLE else memoryview(buffer)[offset : offset + length])
        return name, getattr(self.kernels, name)(*arguments)

    def fill(self):
        slot, length = self.unpack("<BI")
        self.slots[slot] = bytearray(length)
        if self.stream.readinto(self.slots[slot]) != length and length:
            raise MismatchError("the file is cut short")

    def write(self):
        slot, offset, length = self.unpack("<BII")
        if self.stream.readinto(memoryview(self.slots[slot])[offset : offset + length]) != length:
            raise MismatchError("the file is cut short")

    def compare(self):
        slot, offset, length = self.unpack("<BII")
        while length:
            expected = self.stream.read(min(length, COMPARED_AT_ONCE))
            if not expected:
                raise MismatchError("the file is cut short")
            for value in expected:
                if self.slots[slot][offset] != value:
                    found = self.slots[slot][offset]
                    raise MismatchError(f"buffer {slot}, byte {offset}: expected {value}, found {found}")
                offset += 1
            length -= len(expected)

    def step(self, kind):
        if kind == b"D":
            self.fill()
        elif kind == b"Z":
            slot, length = self.unpack("<BI")
            self.slots[slot] = bytearray(length)
        elif kind == b"S":
            (slot,) = self.unpack("<B")
            name, size = self.read_call()
            if size < 0:
                raise MismatchError(f"{name} returned {size}")
            self.slots[slot] = bytearray(size)
        elif kind == b"C":
            name, result = self.read_call()
            (expected,) = self.unpack("<i")
            if result != expected:
                raise MismatchError(f"{name}: expected {expected}, returned {result}")
        elif kind == b"W":
            self.write()
        elif kind == b"E":
            self.compare()
        else:
            raise MismatchError(f"unknown record {kind}")

    def run(self):
        """Replay the whole file.

        Raises:
            MismatchError: a result or a buffer is not what the trace says.
        """
        if self.stream.read(4) != MAGIC or self.unpack("<HH") != (VERSION, 0):
            raise MismatchError(f"not a trace of version {VERSION}")
        while True:
            kind = self.stream.read(1)
            if not kind:
                return
            self.records += 1
            self.step(kind)


def run(directory, kernels):
    """Replay every trace of a directory; return how many, or raise MismatchError naming the place."""
    names = sorted([name for name in os.listdir(directory) if name.endswith(".trace")])
    for name in names:
        with open(directory + "/" + name, "rb") as stream:
            replay = Replay(stream, kernels)
            try:
                replay.run()
            except MismatchError as error:
                raise MismatchError(f"{name}, record {replay.records}: {error}") from error
    return len(names)


def main(directory):
    """Replay a directory and print the outcome; return the exit code."""
    kernels = import_kernels()
    try:
        count = run(directory, kernels)
    except MismatchError as error:
        print(f"DIFFERENCE {error} ({kernels.__name__})")
        return 1
    if not count:
        print(f"no vectors in {directory}")
        return 1
    print(f"OK {count} vectors ({kernels.__name__})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else globals()["GOLDEN_DIRECTORY"]))
