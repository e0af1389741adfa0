#include "st_tensor.h"

#include "st_scale.h"

/* Field numbers of the schema's tables Tensor, QuantizationParameters and Buffer. */
#define TENSOR_SHAPE (0)
#define TENSOR_TYPE (1)
#define TENSOR_BUFFER (2)
#define TENSOR_QUANTIZATION (4)
#define TENSOR_IS_VARIABLE (5)
#define TENSOR_SPARSITY (6)
#define QUANTIZATION_SCALE (2)
#define QUANTIZATION_ZERO_POINT (3)
#define QUANTIZATION_DETAILS_TYPE (4)
#define QUANTIZATION_DIMENSION (6)
#define BUFFER_DATA (0)

/* Bits of an element, 0 for a type that is not served. */
static uint32_t element_bits(int32_t type) {
    switch (type) {
        case ST_TENSOR_INT4:
            return 4;
        case ST_TENSOR_INT8:
            return 8;
        case ST_TENSOR_INT16:
            return 16;
        case ST_TENSOR_INT32:
        case ST_TENSOR_FLOAT32:
            return 32;
        default:
            return 0;
    }
}

static st_status_t load_shape(st_flatbuffer_t *fb, uint32_t table, st_tensor_t *tensor) {
    st_vector_t shape = st_fb_get_vector(fb, table, TENSOR_SHAPE, 4);
    if (shape.count > ST_TENSOR_MAX_RANK) {
        return -ST_ERROR_MODEL_TYPE;
    }
    tensor->rank = (int32_t)shape.count;
    tensor->elements = 1;
    for (uint32_t i = 0; i < shape.count; i++) {
        int32_t dim = st_fb_i32_at(fb, shape, i);
        if (dim <= 0) {
            return -ST_ERROR_MODEL_TYPE;
        }
        if ((uint32_t)dim > ST_TENSOR_MAX_BYTES / tensor->elements) {
            return -ST_ERROR_MODEL_MEMORY;
        }
        tensor->dims[i] = dim;
        tensor->elements *= (uint32_t)dim;
    }
    tensor->bytes = (tensor->elements * element_bits(tensor->type) + 7) / 8;
    return tensor->bytes > ST_TENSOR_MAX_BYTES ? -ST_ERROR_MODEL_MEMORY : 0;
}

static int32_t smallest_zero_point(int32_t type) {
    return type == ST_TENSOR_INT4 ? -8 : (type == ST_TENSOR_INT8 ? -128 : -32768);
}

/* int64 zero points: an element as int32, or INT32_MIN when it does not fit. */
static int32_t zero_point_at(st_flatbuffer_t *fb, st_vector_t zero_points, uint32_t i) {
    int32_t low = (int32_t)st_fb_u32(fb, zero_points.at + 8 * i);
    int32_t high = (int32_t)st_fb_u32(fb, zero_points.at + 8 * i + 4);
    return high == (low < 0 ? -1 : 0) ? low : INT32_MIN;
}

/* One scale, or one for each index of an axis, and no more zero points than scales: else a file could make
 * every look at a tensor as long as the file. */
static int has_counts(const st_tensor_t *tensor, uint32_t zero_points) {
    uint32_t count = tensor->scales.count;
    if (count > 1 && (tensor->axis < 0 || tensor->axis >= tensor->rank || count != (uint32_t)tensor->dims[tensor->axis])) {
        return 0;
    }
    return zero_points <= ST_MAX(count, 1);
}

static st_status_t load_quantization(st_flatbuffer_t *fb, uint32_t table, st_tensor_t *tensor) {
    uint32_t quantization = st_fb_get_table(fb, table, TENSOR_QUANTIZATION);
    st_vector_t zero_points = st_fb_get_vector(fb, quantization, QUANTIZATION_ZERO_POINT, 8);
    tensor->scales = st_fb_get_vector(fb, quantization, QUANTIZATION_SCALE, 4);
    tensor->axis = st_fb_get_i32(fb, quantization, QUANTIZATION_DIMENSION, 0);
    if (!has_counts(tensor, zero_points.count)) {
        return -ST_ERROR_MODEL_TYPE;
    }
    tensor->scale = tensor->scales.count ? (uint32_t)st_fb_i32_at(fb, tensor->scales, 0) : 0;
    tensor->zero_point = zero_points.count ? zero_point_at(fb, zero_points, 0) : 0;
    tensor->symmetric = 1;
    for (uint32_t i = 0; i < zero_points.count; i++) {
        tensor->symmetric &= zero_point_at(fb, zero_points, i) == 0;
    }
    int32_t low = smallest_zero_point(tensor->type);
    if (tensor->zero_point < low || tensor->zero_point > -1 - low) {
        return -ST_ERROR_MODEL_TYPE;
    }
    return st_fb_get_i8(fb, quantization, QUANTIZATION_DETAILS_TYPE, 0) == 0 ? 0 : -ST_ERROR_MODEL_TYPE;
}

static st_status_t load_data(st_flatbuffer_t *fb, uint32_t table, st_vector_t buffers, st_tensor_t *tensor) {
    uint32_t buffer = (uint32_t)st_fb_get_i32(fb, table, TENSOR_BUFFER, 0);
    st_vector_t data = st_fb_get_vector(fb, st_fb_table_at(fb, buffers, buffer), BUFFER_DATA, 1);
    tensor->data = data.count ? data.at : 0;
    return data.count == 0 || data.count == tensor->bytes ? 0 : -ST_ERROR_MODEL_TRUNCATED;
}

st_status_t st_tensor_load(st_flatbuffer_t *fb, st_tensor_source_t source, int32_t index, st_tensor_t *tensor) {
    uint32_t table = st_fb_table_at(fb, source.tensors, (uint32_t)index);
    tensor->index = index;
    tensor->type = st_fb_get_i8(fb, table, TENSOR_TYPE, 0);
    tensor->variable = st_fb_get_i8(fb, table, TENSOR_IS_VARIABLE, 0) != 0;
    if (fb->damaged) {
        return -ST_ERROR_MODEL_TRUNCATED;
    }
    if (element_bits(tensor->type) == 0) {
        return -ST_ERROR_MODEL_TYPE;
    }
    if (st_fb_get_table(fb, table, TENSOR_SPARSITY) != 0) {
        return -ST_ERROR_MODEL_TYPE;
    }
    st_status_t status = load_shape(fb, table, tensor);
    if (status == 0) {
        status = load_data(fb, table, source.buffers, tensor);
    }
    if (status == 0) {
        status = load_quantization(fb, table, tensor);
    }
    return fb->damaged ? -ST_ERROR_MODEL_TRUNCATED : status;
}

st_status_t st_tensor_load_shape(st_flatbuffer_t *fb, st_tensor_source_t source, int32_t index, st_tensor_t *tensor) {
    uint32_t table = st_fb_table_at(fb, source.tensors, (uint32_t)index);
    tensor->index = index;
    tensor->type = st_fb_get_i8(fb, table, TENSOR_TYPE, 0);
    return load_shape(fb, table, tensor);
}

int32_t st_tensor_dim(const st_tensor_t *tensor, int32_t from_last) {
    return from_last < tensor->rank ? tensor->dims[tensor->rank - 1 - from_last] : 1;
}

int st_tensor_same_shape(const st_tensor_t *a, const st_tensor_t *b) {
    for (int32_t i = 0; i < ST_TENSOR_MAX_RANK; i++) {
        if (st_tensor_dim(a, i) != st_tensor_dim(b, i)) {
            return 0;
        }
    }
    return 1;
}

int st_tensor_same_scale(const st_tensor_t *a, const st_tensor_t *b) {
    return a->scales.count <= 1 && b->scales.count <= 1 && a->scale == b->scale && a->zero_point == b->zero_point;
}

int st_tensor_is_activation(const st_tensor_t *tensor) {
    return tensor->type == ST_TENSOR_INT8 && tensor->scales.count == 1 && st_scale_is_valid(tensor->scale);
}
