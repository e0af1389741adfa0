"""Packed weights, whose zeros are left out: the twin of st_zero_skip.c. Layout: layout.zero_skip in spec.toml."""

import struct

import stapes_spec as spec

from .fixed import wrap_i32
from .tensor import INT8

ROWS, SEGMENT, ENTRIES = spec.ZERO_SKIP_ROWS, spec.ZERO_SKIP_SEGMENT, spec.ZERO_SKIP_ENTRIES
_MAGIC = spec.MAGIC_ZERO_SKIP.encode()


class LayoutError(Exception):
    """A packed tensor is not as the layout wants it; offset: where, from its start, or None for the header."""

    def __init__(self, offset=None):
        super().__init__(offset)
        self.offset = offset


def divided_up(count, by):
    """Return count / by, rounded up."""
    return (count + by - 1) // by


def group_bytes(bits):
    """Return the bytes of a group of four entries."""
    return 4 + 2 * bits


def sum_bytes(rows):
    """Return the bytes of the sums of so many rows, those of the last block included."""
    return 4 * ROWS * divided_up(rows, ROWS)


def scratch_bytes(rows, depth):
    """Return the bytes of scratch: the sums of all blocks, then a column of depth inputs."""
    return sum_bytes(rows) + depth


def read_header(data):
    """Return (version, bits, bias, group count, offset of the groups); raises LayoutError for a stranger."""
    if len(data) < spec.ZERO_SKIP_BYTES or bytes(data[:4]) != _MAGIC:
        raise LayoutError()
    return struct.unpack_from(spec.ZERO_SKIP_STRUCT, data, 0)[1:]


def _weights(data, group, entry, bits):
    """Return the four weights of an entry of the group at an offset."""
    if bits == 8:
        return [data[group + 4 + 4 * entry + row] - 128 for row in range(ROWS)]
    at = group + 4 + 4 * (entry // 2) + entry % 2
    return [(data[at + 2 * (row // 2)] >> 4 * (row % 2) & 15) - 8 for row in range(ROWS)]


def _segment_entries(data, group, count, width, bits):
    """Return [(offset of the column's byte, weights)] of one segment; raises LayoutError where a column is bad."""
    entries = []
    previous = -1
    for k in range(-count % ENTRIES, -count % ENTRIES + count):
        start = group + k // ENTRIES * group_bytes(bits)
        at = start + k % ENTRIES
        if not previous < data[at] < width:
            raise LayoutError(at)
        previous = data[at]
        entries.append((previous, _weights(data, start, k % ENTRIES, bits)))
    return entries


def entries(data, rows, depth, bits):
    """Take packed weights apart.

    Args:
        data: the whole tensor, its header checked but for the numbers of groups.
        rows, depth: the dense matrix's outputs and inputs.
        bits: of a weight, 4 or 8.
    Returns:
        list: per block of four rows, a list of (input, [four weights]), inputs ascending.
    Raises:
        LayoutError: a count or a column is out of range.
    """
    groups, first = read_header(data)[3:]
    counts_end = spec.ZERO_SKIP_BYTES + 2 * divided_up(rows, ROWS) * divided_up(depth, SEGMENT)
    size = group_bytes(bits)
    if first % 4 or not counts_end <= first <= len(data) or len(data) - first != groups * size:
        raise LayoutError(spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET)
    blocks = []
    group, count_at = first, spec.ZERO_SKIP_BYTES
    for _ in range(divided_up(rows, ROWS)):
        block = []
        for start in range(0, depth, SEGMENT):
            width = min(depth - start, SEGMENT)
            count = data[count_at] | data[count_at + 1] << 8
            used = divided_up(count, ENTRIES) * size
            if count > width or used > len(data) - group:
                raise LayoutError(count_at)
            found = _segment_entries(data, group, count, width, bits)
            block += [(start + column, weights) for column, weights in found]
            group += used
            count_at += 2
        blocks.append(block)
    if group != len(data):
        raise LayoutError(spec.ZERO_SKIP_GROUP_COUNT_OFFSET)
    return blocks


def packed_bytes(file, at, bits):
    """Return the bytes of the packed weights at a position of a file, checked before."""
    groups, first = struct.unpack_from(spec.ZERO_SKIP_STRUCT, file, at)[4:]
    return first + groups * group_bytes(bits)


def prepare(plan, k, rows, depth, bits):
    """Check the packed weights, operand k of the plan's operator, of a matrix [rows, depth]; bits None: 4 or 8.

    Returns their header's position in the file.
    """
    packed = plan.constant(k)
    data = plan.fb.data[packed.data : packed.data + packed.bytes]
    try:
        if packed.type != INT8 or packed.data % 4:
            raise LayoutError()
        version, found, bias = read_header(data)[:3]
        if version != spec.VERSION_ZERO_SKIP:
            plan.refuse(spec.ERROR_MODEL_VERSION, version)
        if found not in ((bits,) if bits else (4, 8)) or bias > spec.ZERO_SKIP_BIAS_LEFT_OUT:
            raise LayoutError()
        entries(data, rows, depth, found)
    except LayoutError as error:
        if error.offset is None:
            plan.refuse_type(packed)
        plan.refuse(spec.ERROR_MODEL_TRUNCATED, packed.data + error.offset)
    return packed.data


def file_sums(file, at, rows, depth, column):
    """Return the sums, int32, of the packed weights at a position of a file, checked before."""
    bits = file[at + spec.ZERO_SKIP_BITS_OFFSET]
    data = file[at : at + packed_bytes(file, at, bits)]
    return [wrap_i32(total) for total in sums(data, rows, depth, bits, column)]


def sums(data, rows, depth, bits, column):
    """Return the sum of w[r][i] * column[i] for every row of every block, those beyond the last row included."""
    result = []
    for block in entries(data, rows, depth, bits):
        for row in range(ROWS):
            result.append(sum([weights[row] * column[i] for i, weights in block]))
    return result
