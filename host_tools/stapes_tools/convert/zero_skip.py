"""Weights without their zeros: a dense matrix to packed bytes and back (layout.zero_skip of the specification)."""

import struct

import numpy as np
import stapes_spec as spec
from stapes_reference import zero_skip as layout

from stapes_tools.errors import UserError

_ROWS, _SEGMENT, _ENTRIES = spec.ZERO_SKIP_ROWS, spec.ZERO_SKIP_SEGMENT, spec.ZERO_SKIP_ENTRIES
# Bytes of a 4-bit group after its columns: (entry, row) in the low nibble, (entry, row + 1) in the high one.
_NIBBLES = tuple((2 * word + byte % 2, byte // 2 * 2) for word in range(2) for byte in range(4))


def _blocks(matrix: np.ndarray) -> np.ndarray:
    """int [rows, depth] -> [blocks, 4, depth], missing rows zero."""
    rows, depth = matrix.shape
    padded = np.zeros((layout.divided_up(rows, _ROWS) * _ROWS, depth), np.int64)
    padded[:rows] = matrix
    return padded.reshape(-1, _ROWS, depth)


def count_entries(matrix: np.ndarray) -> int:
    """How many entries, blocks of four weights of which one is not zero, a matrix int [rows, depth] has."""
    return int(_blocks(matrix).any(axis=1).sum())


def _group(columns: np.ndarray, weights: np.ndarray, bits: int) -> bytes:
    """columns: uint8 [4]; weights: without sign, [4 entries, 4 rows]."""
    if bits == 8:
        return columns.tobytes() + weights.astype(np.uint8).tobytes()
    pairs = [int(weights[entry, row]) | int(weights[entry, row + 1]) << 4 for entry, row in _NIBBLES]
    return columns.tobytes() + bytes(pairs)


def _segment(block: np.ndarray, bits: int) -> tuple[int, bytes]:
    """Entries and groups of one block's segment, int [4, width]."""
    columns = np.flatnonzero(block.any(axis=0))
    missing = -len(columns) % _ENTRIES
    order = np.concatenate([np.zeros(missing, np.uint8), columns.astype(np.uint8)])
    weights = np.concatenate([np.zeros((missing, _ROWS), np.int64), block[:, columns].T + (1 << bits - 1)])
    groups = range(0, len(order), _ENTRIES)
    return len(columns), b"".join(_group(order[k : k + _ENTRIES], weights[k : k + _ENTRIES], bits) for k in groups)


def moved(bias: bytes, amounts: np.ndarray) -> bytes:
    """Biases, int32, with amounts added modulo 2^32."""
    return (np.frombuffer(bias, np.int32).astype(np.int64) + amounts).astype(np.uint32).tobytes()


def encode(matrix: np.ndarray, bits: int, bias: int = spec.ZERO_SKIP_BIAS_GIVEN) -> bytes:
    """Pack a matrix.

    Args:
        matrix: integers [rows, depth], each of them of so many bits.
        bits: 4 or 8.
        bias: of the stock operator, see zero_skip_bias of the specification.
    Returns:
        bytes: header, counts, groups.
    """
    limit = 1 << bits - 1
    assert bits in (4, 8) and matrix.size and -limit <= matrix.min() and matrix.max() < limit
    starts = range(0, matrix.shape[1], _SEGMENT)
    found = [_segment(block[:, k : k + _SEGMENT], bits) for block in _blocks(matrix) for k in starts]
    counts = struct.pack("<{}H".format(len(found)), *(count for count, _ in found))
    counts += bytes(-len(counts) % 4)
    groups = b"".join(data for _, data in found)
    magic, version = spec.MAGIC_ZERO_SKIP.encode(), spec.VERSION_ZERO_SKIP
    number, offset = len(groups) // layout.group_bytes(bits), spec.ZERO_SKIP_BYTES + len(counts)
    return struct.pack(spec.ZERO_SKIP_STRUCT, magic, version, bits, bias, number, offset) + counts + groups


def decode(data: bytes, rows: int, depth: int, bits: int) -> tuple[np.ndarray, int]:
    """Unpack a matrix.

    Args:
        data: what encode returned.
        rows, depth, bits: of the matrix.
    Returns:
        (int8 [rows, depth], the stock operator's bias).
    Raises:
        UserError: damaged, of another version, or not for such a matrix.
    """
    try:
        version, found, bias = layout.read_header(data)[:3]
        if (version, found) != (spec.VERSION_ZERO_SKIP, bits) or bias > spec.ZERO_SKIP_BIAS_LEFT_OUT:
            raise layout.LayoutError()
        blocks = layout.entries(data, rows, depth, bits)
    except layout.LayoutError as error:
        where = "header" if error.offset is None else "byte {}".format(error.offset)
        raise UserError("packed weights are damaged ({})".format(where), advice="pack the model again") from None
    matrix = np.zeros((len(blocks) * _ROWS, depth), np.int8)
    for index, block in enumerate(blocks):
        for column, weights in block:
            matrix[index * _ROWS : (index + 1) * _ROWS, column] = weights
    return matrix[:rows], bias
