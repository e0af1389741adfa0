/* MEAN of int8 over constant axes.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/reduce.h, QuantizedMeanOrSum. */
#include "st_fixed.h"
#include "st_op.h"

#define MAX_COUNT (1u << 23) /* elements of one mean: times 255 they fit int32 */
#define MAX_SHIFT (30)

/* Dimensions are counted from the last one; missing ones have count 1. */
typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    st_ref_t sums; /* int32, one per output */
    uint32_t outputs;
    uint32_t count[ST_TENSOR_MAX_RANK];
    uint32_t step[ST_TENSOR_MAX_RANK]; /* outputs from one element to the next; 0 along the axes of the mean */
    int32_t offset;                    /* zero point of x times the elements of one mean */
    int32_t y_zero;
    st_multiplier_t scale;
} record_mean_t;

/* Bit i: the mean is over dimension i. Returns -1 for an axis that x does not have. */
static int32_t load_axes(st_plan_t *plan, const st_tensor_t *axes, int32_t rank) {
    int32_t mask = 0;
    for (uint32_t i = 0; i < axes->elements; i++) {
        int32_t axis = (int32_t)st_fb_u32(&plan->fb, axes->data + 4 * i);
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank) {
            return -1;
        }
        mask |= 1 << axis;
    }
    return mask;
}

/* Counts and steps. Returns the elements of one mean. */
static uint32_t load_loops(record_mean_t *record, const st_tensor_t *x, int32_t axes) {
    uint32_t elements = 1;
    record->outputs = 1;
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        record->count[d] = (uint32_t)st_tensor_dim(x, d);
        if (d < x->rank && axes >> (x->rank - 1 - d) & 1) {
            elements *= record->count[d];
        } else {
            record->step[d] = record->outputs;
            record->outputs *= record->count[d];
        }
    }
    return elements;
}

/* a / b without libgcc's division of 64 bits; the quotient fits int32. */
static int32_t divide(uint64_t a, uint32_t b) {
    uint32_t quotient = 0;
    for (int bit = 31; bit >= 0; bit--) {
        uint64_t part = (uint64_t)b << bit;
        if (a >= part) {
            a -= part;
            quotient |= 1u << bit;
        }
    }
    return (int32_t)quotient;
}

/* The multiplier's share of 1 / elements, as the reference rounds it. */
static void divide_scale(st_multiplier_t *scale, uint32_t elements) {
    int shift = ST_MIN(st_msb32(elements), 31 + scale->shift);
    scale->multiplier = divide((uint64_t)(uint32_t)scale->multiplier << shift, elements);
    scale->shift -= shift;
}

static st_status_t prepare(st_plan_t *plan, record_mean_t *record) {
    st_tensor_t x, axes, y;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_constant(plan, 1, 0, &axes);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&x)) {
        return st_op_refuse_type(plan, &x);
    }
    int32_t mask = axes.type == ST_TENSOR_INT32 ? load_axes(plan, &axes, x.rank) : -1;
    if (mask < 0) {
        return st_op_refuse_type(plan, &axes);
    }
    uint32_t elements = load_loops(record, &x, mask);
    if (!st_tensor_is_activation(&y) || y.elements != record->outputs || elements > MAX_COUNT) {
        return st_op_refuse_type(plan, &y);
    }
    record->offset = x.zero_point * (int32_t)elements;
    record->y_zero = y.zero_point;
    status = st_op_multiplier(plan, &y, st_real_from_scale(x.scale), st_real_from_scale(y.scale), MAX_SHIFT,
                              &record->scale);
    if (status < 0) {
        return status;
    }
    divide_scale(&record->scale, elements);
    return st_plan_scratch(plan, 4 * record->outputs, &record->sums);
}

st_status_t st_op_prepare_mean(st_plan_t *plan) {
    record_mean_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_MEAN;
    st_status_t status = st_plan_reserve(plan, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

/* Adds one run along the last dimension. */
static void add_run(const record_mean_t *op, const int8_t *x, int32_t *sums) {
    for (const int8_t *end = x + op->count[0]; x != end; x++) {
        *sums += *x;
        sums += op->step[0];
    }
}

void st_op_invoke_mean(const st_memory_t *memory, const st_record_t *record) {
    const record_mean_t *op = (const record_mean_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    int32_t *sums = st_write_at(memory, op->sums);
    memset(sums, 0, 4 * (size_t)op->outputs);
    for (uint32_t i = 0; i < op->count[3]; i++) {
        for (uint32_t j = 0; j < op->count[2]; j++) {
            for (uint32_t k = 0; k < op->count[1]; k++) {
                add_run(op, x, sums + i * op->step[3] + j * op->step[2] + k * op->step[1]);
                x += op->count[0];
            }
        }
    }
    for (uint32_t i = 0; i < op->outputs; i++) {
        int32_t value =
            st_multiply_by_quantized_multiplier(sums[i] - op->offset, op->scale.multiplier, op->scale.shift);
        y[i] = (int8_t)(st_clamp(value, INT8_MIN - op->y_zero, INT8_MAX - op->y_zero) + op->y_zero);
    }
}
