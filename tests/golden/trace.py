"""Golden vectors as traces: a file of kernel calls with what each must return and write.

A trace is "STGV", u16 version, u16 zero, then records, all little endian, until the end:

    D u8 slot, u32 n, n bytes                  slot becomes a buffer with these bytes
    Z u8 slot, u32 n                           slot becomes n zero bytes
    S u8 slot, call                            slot becomes as many zero bytes as the call returns
    C call, i32 expected                       the call must return this
    W u8 slot, u32 offset, u32 n, n bytes      these bytes are written there
    E u8 slot, u32 offset, u32 n, n bytes      the slot must hold these bytes there

A call is u8 length and the method's name, u8 count and its arguments. An argument is "i" and i32, or
"b", u8 slot, u32 offset, u32 n: n bytes of a slot, 0xFFFFFFFF for all. run_golden.py replays traces.
"""

import struct

MAGIC = b"STGV"
VERSION = 1
WHOLE = 0xFFFFFFFF


class Slot:
    """A buffer of a trace, or a piece of one."""

    def __init__(self, index, buffer, offset=0, length=WHOLE):
        self.index, self.buffer, self.offset, self.length = index, buffer, offset, length

    def piece(self, offset, length):
        """Return bytes offset ... offset + length - 1 of the slot, as an argument."""
        return Slot(self.index, self.buffer, offset, length)

    def view(self):
        """Return what a kernel gets."""
        if self.length == WHOLE:
            return self.buffer
        return memoryview(self.buffer)[self.offset : self.offset + self.length]


class Recorder:
    """Runs calls on an implementation of the kernels and writes down what it answers.

    Args:
        kernels: module with the methods of st_methods.h: the reference.
    """

    def __init__(self, kernels):
        self._kernels = kernels
        self._slots = 0
        self._out = [MAGIC, struct.pack("<HH", VERSION, 0)]

    def _slot(self, buffer):
        self._slots += 1
        return Slot(self._slots - 1, buffer)

    def _encode_call(self, method, arguments):
        parts = [struct.pack("<B", len(method)), method.encode(), struct.pack("<B", len(arguments))]
        for argument in arguments:
            if isinstance(argument, Slot):
                parts.append(b"b" + struct.pack("<BII", argument.index, argument.offset, argument.length))
            else:
                parts.append(b"i" + struct.pack("<i", argument))
        return b"".join(parts)

    def _run(self, method, arguments):
        values = [argument.view() if isinstance(argument, Slot) else argument for argument in arguments]
        return getattr(self._kernels, method)(*values)

    def data(self, content):
        """Return a new slot that holds content (bytes-like)."""
        slot = self._slot(bytearray(content))
        self._out.append(b"D" + struct.pack("<BI", slot.index, len(slot.buffer)) + bytes(slot.buffer))
        return slot

    def zeros(self, count):
        """Return a new slot of count zero bytes."""
        slot = self._slot(bytearray(count))
        self._out.append(b"Z" + struct.pack("<BI", slot.index, count))
        return slot

    def sized(self, method, *arguments):
        """Return a new slot of as many bytes as the method says: a state, whose size may differ by implementation."""
        count = self._run(method, arguments)
        if count < 0:
            raise ValueError(f"{method} returned {count} while a trace was recorded")
        slot = self._slot(bytearray(count))
        self._out.append(b"S" + struct.pack("<B", slot.index) + self._encode_call(method, arguments))
        return slot

    def call(self, method, *arguments):
        """Call a method, record its result and return it."""
        result = self._run(method, arguments)
        self._out.append(b"C" + self._encode_call(method, arguments) + struct.pack("<i", result))
        return result

    def write(self, slot, offset, content):
        """Write bytes into a slot."""
        slot.buffer[offset : offset + len(content)] = content
        self._out.append(b"W" + struct.pack("<BII", slot.index, offset, len(content)) + bytes(content))

    def expect(self, slot, offset=0, length=None):
        """Record what a slot holds now, from offset on."""
        content = bytes(slot.buffer[offset : None if length is None else offset + length])
        self._out.append(b"E" + struct.pack("<BII", slot.index, offset, len(content)) + content)

    def encoded(self):
        """Return the trace's file."""
        return b"".join(self._out)
