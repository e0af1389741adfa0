"""One tensor of a .tflite subgraph, checked: the twin of st_tensor.c."""

import stapes_spec as spec

from . import scale

MAX_RANK = 4
MAX_BYTES = 1 << 24
FLOAT32, INT32, INT16, INT8, INT4 = 0, 2, 7, 9, 17
ELEMENT_BITS = {FLOAT32: 32, INT32: 32, INT16: 16, INT8: 8, INT4: 4}
_SMALLEST_ZERO_POINT = {INT8: -128, INT4: -8}

# Field numbers of the schema's tables Tensor, QuantizationParameters and Buffer.
_SHAPE, _TYPE, _BUFFER, _QUANTIZATION, _IS_VARIABLE, _SPARSITY = 0, 1, 2, 4, 5, 6
_SCALE, _ZERO_POINT, _DETAILS_TYPE, _DIMENSION = 2, 3, 4, 6
_DATA = 0


class RefusedError(Exception):
    """A model cannot be run: the error's code and what the user should look at."""

    def __init__(self, code, detail=None):
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Tensor:
    """Shape, type, quantisation and constant data of a tensor."""

    def __init__(self, fb, tensors, buffers, index):
        """Read tensor index; raises RefusedError."""
        table = fb.table_at(tensors, index)
        self.index = index
        self.type = fb.get_i8(table, _TYPE)
        self.variable = fb.get_i8(table, _IS_VARIABLE) != 0
        if fb.damaged:
            raise RefusedError(spec.ERROR_MODEL_TRUNCATED)
        if self.type not in ELEMENT_BITS or fb.get_table(table, _SPARSITY) != 0:
            raise RefusedError(spec.ERROR_MODEL_TYPE)
        self._load_shape(fb, table)
        self._load_data(fb, table, buffers)
        self._load_quantization(fb, table)
        if fb.damaged:
            raise RefusedError(spec.ERROR_MODEL_TRUNCATED)

    def _load_shape(self, fb, table):
        shape = fb.get_vector(table, _SHAPE, 4)
        if shape[1] > MAX_RANK:
            raise RefusedError(spec.ERROR_MODEL_TYPE)
        self.dims = []
        self.elements = 1
        for dim in fb.ints(shape):
            if dim <= 0:
                raise RefusedError(spec.ERROR_MODEL_TYPE)
            if dim > MAX_BYTES // self.elements:
                raise RefusedError(spec.ERROR_MODEL_MEMORY)
            self.dims.append(dim)
            self.elements *= dim
        self.rank = len(self.dims)
        self.bytes = (self.elements * ELEMENT_BITS[self.type] + 7) // 8
        if self.bytes > MAX_BYTES:
            raise RefusedError(spec.ERROR_MODEL_MEMORY)

    def _load_quantization(self, fb, table):
        quantization = fb.get_table(table, _QUANTIZATION)
        zero_points = fb.get_vector(quantization, _ZERO_POINT, 8)
        self.scales = fb.get_vector(quantization, _SCALE, 4)
        self.axis = fb.get_i32(quantization, _DIMENSION)
        if not self._has_counts(zero_points[1]):
            raise RefusedError(spec.ERROR_MODEL_TYPE)
        self.scale = fb.u32(self.scales[0]) if self.scales[1] else 0
        values = [_zero_point(fb, zero_points[0] + 8 * i) for i in range(zero_points[1])]
        self.zero_point = values[0] if values else 0
        self.symmetric = not any(values)
        low = _SMALLEST_ZERO_POINT.get(self.type, -32768)
        if not low <= self.zero_point <= -1 - low:
            raise RefusedError(spec.ERROR_MODEL_TYPE)
        if fb.get_i8(quantization, _DETAILS_TYPE) != 0:
            raise RefusedError(spec.ERROR_MODEL_TYPE)

    def _has_counts(self, zero_points):
        """Return whether there is one scale or one for each index of an axis, and no more zero points than scales."""
        count = self.scales[1]
        if count > 1 and not (0 <= self.axis < self.rank and count == self.dims[self.axis]):
            return False
        return zero_points <= max(count, 1)

    def _load_data(self, fb, table, buffers):
        buffer = fb.get_i32(table, _BUFFER) & 0xFFFFFFFF
        at, count = fb.get_vector(fb.table_at(buffers, buffer), _DATA, 1)
        self.data = at if count else 0
        if count not in (0, self.bytes):
            raise RefusedError(spec.ERROR_MODEL_TRUNCATED)

    def dim(self, from_last):
        """Return a dimension counted from the last one; 1 beyond the first."""
        return self.dims[self.rank - 1 - from_last] if from_last < self.rank else 1

    def same_shape(self, other):
        """Return whether dimensions are equal, leading ones apart."""
        return all(self.dim(i) == other.dim(i) for i in range(MAX_RANK))

    def same_scale(self, other):
        """Return whether both have one scale, and scale and zero point are equal."""
        one = self.scales[1] <= 1 and other.scales[1] <= 1
        return one and (self.scale, self.zero_point) == (other.scale, other.zero_point)

    def is_activation(self):
        """Return whether this is a per-tensor quantised int8 activation with a usable scale."""
        return self.type == INT8 and self.scales[1] == 1 and scale.is_valid(self.scale)


def _zero_point(fb, at):
    """Return an int64 zero point, -2^31 when it does not fit int32."""
    low, high = fb.i32(at), fb.i32(at + 4)
    return low if high == (-1 if low < 0 else 0) else -0x80000000
