/* STRIDED_SLICE with constant bounds and positive strides; begin and end masks. */
#include "st_op.h"

#define OPTIONS_STRIDED_SLICE (32)
#define FIELD_BEGIN_MASK (0)
#define FIELD_END_MASK (1)
#define FIELD_ELLIPSIS_MASK (2)
#define FIELD_NEW_AXIS_MASK (3)
#define FIELD_SHRINK_AXIS_MASK (4)
#define FIELD_OFFSET (5)

/* Dimensions are counted from the last one; missing ones have count 1. */
typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    uint32_t start; /* bytes from x to the first element */
    uint32_t element;
    uint32_t count[ST_TENSOR_MAX_RANK];
    uint32_t step[ST_TENSOR_MAX_RANK]; /* bytes */
} record_slice_t;

static int32_t bound(st_plan_t *plan, const st_tensor_t *vector, int32_t i, int32_t dim) {
    int32_t value = (int32_t)st_fb_u32(&plan->fb, vector->data + 4 * (uint32_t)i);
    if (value < 0) {
        value = value < -dim ? 0 : value + dim;
    }
    return ST_MIN(value, dim);
}

static st_status_t load_bounds(st_plan_t *plan, const st_tensor_t *x, st_tensor_t bounds[3]) {
    for (uint32_t k = 0; k < 3; k++) {
        st_status_t status = st_plan_constant(plan, 1 + k, 0, &bounds[k]);
        if (status < 0) {
            return status;
        }
        if (bounds[k].type != ST_TENSOR_INT32 || bounds[k].elements != (uint32_t)x->rank) {
            return st_op_refuse_type(plan, &bounds[k]);
        }
    }
    return 0;
}

/* Counts and steps of every dimension. Returns 0 when one is empty, does not match y, or has a
 * stride that is not positive. */
static int load_steps(st_plan_t *plan, record_slice_t *record, const st_tensor_t *x, const st_tensor_t *y,
                      const st_tensor_t bounds[3]) {
    int32_t begin_mask = st_fb_get_i32(&plan->fb, plan->options, FIELD_BEGIN_MASK, 0);
    int32_t end_mask = st_fb_get_i32(&plan->fb, plan->options, FIELD_END_MASK, 0);
    uint32_t pitch = record->element;
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        record->count[d] = 1;
        record->step[d] = 0;
        if (d < x->rank) {
            int32_t i = x->rank - 1 - d;
            int32_t dim = x->dims[i];
            int32_t begin = begin_mask >> i & 1 ? 0 : bound(plan, &bounds[0], i, dim);
            int32_t end = end_mask >> i & 1 ? dim : bound(plan, &bounds[1], i, dim);
            int32_t stride = (int32_t)st_fb_u32(&plan->fb, bounds[2].data + 4 * (uint32_t)i);
            if (stride <= 0 || end <= begin) {
                return 0;
            }
            stride = ST_MIN(stride, dim);
            record->count[d] = (uint32_t)((end - begin - 1) / stride + 1);
            record->step[d] = (uint32_t)stride * pitch;
            record->start += (uint32_t)begin * pitch;
            pitch *= (uint32_t)dim;
        }
        if (record->count[d] != (uint32_t)st_tensor_dim(y, d)) {
            return 0;
        }
    }
    return 1;
}

static st_status_t prepare(st_plan_t *plan, record_slice_t *record) {
    st_tensor_t x, y, bounds[3];
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = load_bounds(plan, &x, bounds);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    record->element = x.bytes / x.elements;
    if (x.type != y.type || !load_steps(plan, record, &x, &y, bounds)) {
        return st_op_refuse_type(plan, &y);
    }
    return 0;
}

static int has_other_masks(st_plan_t *plan) {
    return st_fb_get_i32(&plan->fb, plan->options, FIELD_ELLIPSIS_MASK, 0) != 0 ||
           st_fb_get_i32(&plan->fb, plan->options, FIELD_NEW_AXIS_MASK, 0) != 0 ||
           st_fb_get_i32(&plan->fb, plan->options, FIELD_SHRINK_AXIS_MASK, 0) != 0 ||
           st_fb_get_i8(&plan->fb, plan->options, FIELD_OFFSET, 0) != 0;
}

st_status_t st_op_prepare_strided_slice(st_plan_t *plan) {
    record_slice_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_STRIDED_SLICE;
    st_status_t status = st_op_options(plan, OPTIONS_STRIDED_SLICE);
    if (status == 0 && has_other_masks(plan)) {
        status = st_op_refuse_option(plan);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

/* One run along the last dimension. Returns the end of what it wrote. */
static uint8_t *copy_run(const record_slice_t *op, const uint8_t *x, uint8_t *y) {
    if (op->step[0] == op->element) {
        memcpy(y, x, op->count[0] * op->element);
        return y + op->count[0] * op->element;
    }
    for (uint32_t i = 0; i < op->count[0]; i++) {
        memcpy(y, x + i * op->step[0], op->element);
        y += op->element;
    }
    return y;
}

ST_HOT void st_op_invoke_strided_slice(const st_memory_t *memory, const st_record_t *record) {
    const record_slice_t *op = (const record_slice_t *)record;
    const uint8_t *x = (const uint8_t *)st_read_at(memory, op->x) + op->start;
    uint8_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count[3]; i++) {
        for (uint32_t j = 0; j < op->count[2]; j++) {
            for (uint32_t k = 0; k < op->count[1]; k++) {
                y = copy_run(op, x + i * op->step[3] + j * op->step[2] + k * op->step[1], y);
            }
        }
    }
}
