"""A flatbuffer read in place, with every offset checked: the twin of st_flatbuffer.c.

Positions are byte offsets in the file; 0 means "absent". A read that would leave the file gives 0
and is remembered in damaged_at. A vector is (position of its first element, count).
"""

import struct

EMPTY = (0, 0)


class Flatbuffer:
    """Bounds-checked reads of one file."""

    def __init__(self, data):
        self.data = data
        self.bytes = len(data)
        self.damaged = False
        self.damaged_at = 0

    def damage(self, at):
        """Remember the first bad read."""
        if not self.damaged:
            self.damaged = True
            self.damaged_at = at

    def check(self, at, count):
        """Return whether [at, at + count) lies in the file."""
        if at > self.bytes or self.bytes - at < count:
            self.damage(at)
            return False
        return True

    def _read(self, at, code, size):
        return struct.unpack_from(code, self.data, at)[0] if self.check(at, size) else 0

    def u16(self, at):
        """Return the uint16 at a position."""
        return self._read(at, "<H", 2)

    def u32(self, at):
        """Return the uint32 at a position."""
        return self._read(at, "<I", 4)

    def i32(self, at):
        """Return the int32 at a position."""
        return self._read(at, "<i", 4)

    def follow(self, at):
        """Follow the unsigned offset stored at a position."""
        offset = self.u32(at)
        if offset == 0 or offset >= self.bytes - at:
            self.damage(at)
            return 0
        return at + offset

    def field(self, table, index, size):
        """Return the position of a table's field, 0 when it is absent."""
        if table == 0:
            return 0
        vtable = (table - self.u32(table)) & 0xFFFFFFFF
        vtable_bytes = self.u16(vtable)
        if vtable_bytes < 4 or not self.check(vtable, vtable_bytes):
            self.damage(table)
            return 0
        entry = 4 + 2 * index
        if entry + 2 > vtable_bytes:
            return 0
        offset = self.u16(vtable + entry)
        if offset == 0:
            return 0
        return table + offset if self.check(table + offset, size) else 0

    def get_i8(self, table, index, missing=0):
        """Return an int8 field."""
        at = self.field(table, index, 1)
        return self._read(at, "<b", 1) if at else missing

    def get_i32(self, table, index, missing=0):
        """Return an int32 field."""
        at = self.field(table, index, 4)
        return self.i32(at) if at else missing

    def get_table(self, table, index):
        """Return the table, or whatever else, that a field refers to."""
        at = self.field(table, index, 4)
        return self.follow(at) if at else 0

    def get_vector(self, table, index, element_bytes):
        """Return the vector that a field refers to."""
        at = self.get_table(table, index)
        if at == 0:
            return EMPTY
        count = self.u32(at)
        if self.bytes - at < 4 or count > (self.bytes - at - 4) // element_bytes:
            self.damage(at)
            return EMPTY
        return (at + 4, count)

    def table_at(self, vector, i):
        """Return element i of a vector of tables."""
        if not 0 <= i < vector[1]:
            self.damage(vector[0])
            return 0
        return self.follow(vector[0] + 4 * i)

    def i32_at(self, vector, i):
        """Return element i of a vector of int32."""
        if not 0 <= i < vector[1]:
            self.damage(vector[0])
            return 0
        return self.i32(vector[0] + 4 * i)

    def ints(self, vector):
        """Return a whole vector of int32."""
        return list(struct.unpack_from("<%di" % vector[1], self.data, vector[0]))
