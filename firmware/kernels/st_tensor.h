/* One tensor of a .tflite subgraph, checked. */
#ifndef ST_TENSOR_H
#define ST_TENSOR_H

#include "st_flatbuffer.h"

#define ST_TENSOR_MAX_RANK (4)
#define ST_TENSOR_MAX_BYTES (1u << 24)

/* TensorType of the schema. */
#define ST_TENSOR_FLOAT32 (0)
#define ST_TENSOR_INT32 (2)
#define ST_TENSOR_INT16 (7)
#define ST_TENSOR_INT8 (9)
#define ST_TENSOR_INT4 (17) /* two per byte */

typedef struct {
    int32_t index;
    int32_t type;
    int32_t rank;
    int32_t dims[ST_TENSOR_MAX_RANK];
    uint32_t elements;
    uint32_t bytes;
    uint32_t data; /* position of a constant's data in the file, 0 for activations */
    st_vector_t scales;
    int32_t axis; /* the one that scales belong to */
    uint32_t scale;
    int32_t zero_point;
    int32_t symmetric; /* every zero point is zero */
    int32_t variable;
} st_tensor_t;

/* Tables of the model that tensors refer to. */
typedef struct {
    st_vector_t tensors;
    st_vector_t buffers;
} st_tensor_source_t;

/* Read tensor index. Returns 0 or the error's negative code. */
st_status_t st_tensor_load(st_flatbuffer_t *fb, st_tensor_source_t source, int32_t index, st_tensor_t *tensor);

/* Only type and shape of a tensor that was loaded before: neither quantisation nor data. */
st_status_t st_tensor_load_shape(st_flatbuffer_t *fb, st_tensor_source_t source, int32_t index, st_tensor_t *tensor);

/* Whether two tensors have the same dimensions, leading ones apart. */
int st_tensor_same_shape(const st_tensor_t *a, const st_tensor_t *b);

/* Whether both have one scale, and scale and zero point are equal. */
int st_tensor_same_scale(const st_tensor_t *a, const st_tensor_t *b);

/* Whether this is a per-tensor quantised int8 activation with a usable scale. */
int st_tensor_is_activation(const st_tensor_t *tensor);

/* Dimension i counted from the last one; 1 beyond the first. */
int32_t st_tensor_dim(const st_tensor_t *tensor, int32_t from_last);

#endif
