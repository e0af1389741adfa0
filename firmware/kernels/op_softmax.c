/* SOFTMAX of int8 along the last dimension.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/softmax.h, tensorflow/lite/micro/kernels/softmax_common.cc. */
#include "st_exp.h"
#include "st_fixed.h"
#include "st_op.h"

#define OPTIONS_SOFTMAX (9)
#define FIELD_BETA (0)
#define SCALE_OUTPUT (0x3B800000u)   /* 2^-8 */
#define SCALE_ARGUMENT (0x32800000u) /* 2^-26: Q5.26 */
#define ARGUMENT_LIMIT (31u << 26)   /* exp(-31) is nothing */
#define MAX_SHIFT (30)
#define SUM_INTEGER_BITS (12)
#define OUTPUT_BITS (8)
#define MAX_DEPTH (4096) /* the sum of more could overflow */

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    st_ref_t exponentials; /* int32, one per element of a row */
    uint32_t rows;
    uint32_t depth;
    int32_t most_below; /* elements further below a row's largest count as zero */
    st_multiplier_t scale;
} record_softmax_t;

static st_status_t prepare(st_plan_t *plan, record_softmax_t *record) {
    st_tensor_t x, y;
    uint32_t beta = (uint32_t)st_fb_get_i32(&plan->fb, plan->options, FIELD_BETA, 0);
    st_status_t status = st_op_unary(plan, &x, &record->x, &y, &record->y);
    if (status < 0) {
        return status;
    }
    if (!st_scale_is_valid(beta)) {
        return st_op_refuse_option(plan);
    }
    if (x.rank < 1 || x.dims[x.rank - 1] > MAX_DEPTH) {
        return st_op_refuse_type(plan, &x);
    }
    if (y.scale != SCALE_OUTPUT || y.zero_point != INT8_MIN) {
        return st_op_refuse_type(plan, &y);
    }
    st_real_t product = st_real_product(st_real_from_scale(x.scale), st_real_from_scale(beta));
    status = st_op_multiplier(plan, &x, product, st_real_from_scale(SCALE_ARGUMENT), MAX_SHIFT, &record->scale);
    if (status < 0) {
        return status;
    }
    if (record->scale.shift < 1) { /* the reference's multiplier is greater than one */
        return st_op_refuse_type(plan, &x);
    }
    record->most_below = (int32_t)(ARGUMENT_LIMIT >> record->scale.shift);
    record->depth = (uint32_t)x.dims[x.rank - 1];
    record->rows = x.elements / record->depth;
    return st_plan_scratch(plan, 4 * record->depth, &record->exponentials);
}

st_status_t st_op_prepare_softmax(st_plan_t *plan) {
    record_softmax_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_SOFTMAX;
    st_status_t status = st_op_open(plan, OPTIONS_SOFTMAX, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

static int32_t largest(const int8_t *x, uint32_t depth) {
    int32_t most = x[0];
    for (uint32_t i = 1; i < depth; i++) {
        most = ST_MAX(most, x[i]);
    }
    return most;
}

/* exp of every element less the row's largest, Q0.31; returns their sum, Q12.19. */
static uint32_t exponentiate(const record_softmax_t *op, const int8_t *x, int32_t *exponentials) {
    int32_t most = largest(x, op->depth);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < op->depth; i++) {
        exponentials[i] = 0;
        if (most - x[i] <= op->most_below) {
            exponentials[i] = st_exp_q26(
                st_multiply_by_quantized_multiplier(x[i] - most, op->scale.multiplier, op->scale.shift));
            sum += (uint32_t)st_rounding_divide_by_pot(exponentials[i], SUM_INTEGER_BITS);
        }
    }
    return sum;
}

static void run_row(const record_softmax_t *op, const int8_t *x, int32_t *exponentials, int8_t *y) {
    uint32_t sum = exponentiate(op, x, exponentials);
    int headroom = 31 - st_msb32(sum);
    int32_t reciprocal = st_reciprocal_q31((int32_t)((sum << headroom) & INT32_MAX)); /* of 1 ... 2 */
    int shift = SUM_INTEGER_BITS - headroom + 31 - OUTPUT_BITS;
    for (uint32_t i = 0; i < op->depth; i++) {
        int32_t value = st_rounding_high_mul(reciprocal, exponentials[i]);
        value = shift > 31 ? 0 : st_rounding_divide_by_pot(value, shift); /* the reference stops above 31 */
        y[i] = (int8_t)ST_MIN(value + INT8_MIN, INT8_MAX);
    }
}

void st_op_invoke_softmax(const st_memory_t *memory, const st_record_t *record) {
    const record_softmax_t *op = (const record_softmax_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    for (uint32_t row = 0; row < op->rows; row++) {
        run_row(op, x, st_write_at(memory, op->exponentials), y);
        x += op->depth;
        y += op->depth;
    }
}
