/* ADD and MUL of two int8 tensors; either may be repeated along dimensions in which it has one element.
 *
 * Reference: tensorflow/lite/micro/kernels/add_common.cc, reference/add.h (left shift 20), mul_common.cc and
 * reference/integer_ops/mul.h. */
#include "st_fixed.h"
#include "st_op.h"

#define OPTIONS_ADD (11)
#define OPTIONS_MUL (21)
#define FIELD_ACTIVATION (0)
#define LEFT_SHIFT (20)
#define MAX_SHIFT (30)

/* Loops from the innermost one; successive dimensions that both tensors run through alike are one loop. */
typedef struct {
    st_record_t head;
    st_ref_t a;
    st_ref_t b;
    st_ref_t y;
    int32_t a_zero, b_zero, y_zero, y_low, y_high;
    st_multiplier_t a_scale, b_scale; /* ADD's */
    st_multiplier_t y_scale;
    uint32_t count[ST_TENSOR_MAX_RANK];
    uint32_t a_step[ST_TENSOR_MAX_RANK];
    uint32_t b_step[ST_TENSOR_MAX_RANK];
} record_elementwise_t;

static st_status_t load_add_scales(st_plan_t *plan, record_elementwise_t *record, uint32_t a, uint32_t b,
                                   const st_tensor_t *y) {
    st_real_t twice_max = st_real_from_scale(ST_MAX(a, b)); /* positive floats order like their bits */
    st_real_t y_real = st_real_from_scale(y->scale);
    twice_max.exponent += 1;
    y_real.exponent += LEFT_SHIFT;
    record->a_scale = st_quantize_ratio(st_real_from_scale(a), twice_max);
    record->b_scale = st_quantize_ratio(st_real_from_scale(b), twice_max);
    return st_op_multiplier(plan, y, twice_max, y_real, 0, &record->y_scale);
}

static st_status_t load_mul_scale(st_plan_t *plan, record_elementwise_t *record, uint32_t a, uint32_t b,
                                  const st_tensor_t *y) {
    st_real_t product = st_real_product(st_real_from_scale(a), st_real_from_scale(b));
    return st_op_multiplier(plan, y, product, st_real_from_scale(y->scale), MAX_SHIFT, &record->y_scale);
}

/* Returns 0 when a and b do not broadcast to y. */
static int load_loops(record_elementwise_t *record, const st_tensor_t *a, const st_tensor_t *b, const st_tensor_t *y) {
    uint32_t a_pitch = 1;
    uint32_t b_pitch = 1;
    int32_t loop = -1;
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        record->count[d] = 1;
    }
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        int32_t a_dim = st_tensor_dim(a, d);
        int32_t b_dim = st_tensor_dim(b, d);
        int32_t dim = ST_MAX(a_dim, b_dim);
        if ((a_dim != dim && a_dim != 1) || (b_dim != dim && b_dim != 1) || st_tensor_dim(y, d) != dim) {
            return 0;
        }
        if (dim > 1) {
            uint32_t a_step = a_dim > 1 ? a_pitch : 0;
            uint32_t b_step = b_dim > 1 ? b_pitch : 0;
            if (loop < 0 || a_step != record->a_step[loop] * record->count[loop] ||
                b_step != record->b_step[loop] * record->count[loop]) {
                loop++;
                record->a_step[loop] = a_step;
                record->b_step[loop] = b_step;
            }
            record->count[loop] *= (uint32_t)dim;
        }
        a_pitch *= (uint32_t)a_dim;
        b_pitch *= (uint32_t)b_dim;
    }
    return 1;
}

static st_status_t prepare(st_plan_t *plan, record_elementwise_t *record) {
    st_tensor_t a, b, y;
    st_status_t status = st_plan_operand(plan, 0, &a, &record->a);
    if (status == 0) {
        status = st_plan_operand(plan, 1, &b, &record->b);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&a)) {
        return st_op_refuse_type(plan, &a);
    }
    if (!st_tensor_is_activation(&b)) {
        return st_op_refuse_type(plan, &b);
    }
    if (!st_tensor_is_activation(&y) || !load_loops(record, &a, &b, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    record->a_zero = a.zero_point;
    record->b_zero = b.zero_point;
    record->y_zero = y.zero_point;
    status = plan->code == ST_OP_ADD ? load_add_scales(plan, record, a.scale, b.scale, &y)
                                     : load_mul_scale(plan, record, a.scale, b.scale, &y);
    return status < 0 ? status : st_op_activation(plan, FIELD_ACTIVATION, &y, &record->y_low, &record->y_high);
}

st_status_t st_op_prepare_elementwise(st_plan_t *plan) {
    record_elementwise_t record = {0};
    uint32_t at = 0;
    record.head.kind = plan->code;
    st_status_t status = st_op_open(plan, plan->code == ST_OP_ADD ? OPTIONS_ADD : OPTIONS_MUL, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

/* value * 2^20 * multiplier * 2^(shift - 31), rounded as st_multiply_by_quantized_multiplier does.
 * A value of 9 bits leaves room to do without 64-bit products: multiplier = high * 2^11 + low. */
static inline int32_t scaled(int32_t value, st_multiplier_t scale) {
    int32_t low = value * (scale.multiplier & 0x7FF);
    int32_t rounded = low >= 0 ? (low + 0x400) >> 11 : -((0x400 - low) >> 11);
    return st_rounding_divide_by_pot(value * (scale.multiplier >> 11) + rounded, -scale.shift);
}

/* What a run needs of a record, copied: bytes that are written might be the record's, for all that C knows. */
typedef struct {
    int32_t a_zero, b_zero, y_zero, low, high; /* low, high: before y_zero is added */
    st_multiplier_t y_scale;
    uint32_t a_step, b_step;
} run_t;

static inline run_t run_of(const record_elementwise_t *op) {
    run_t run = {op->a_zero,  op->b_zero,     op->y_zero,     op->y_low - op->y_zero, op->y_high - op->y_zero,
                 op->y_scale, op->a_step[0], op->b_step[0]};
    return run;
}

static inline int8_t finish(run_t run, int32_t value) {
    value = st_multiply_by_quantized_multiplier(value, run.y_scale.multiplier, run.y_scale.shift);
    return (int8_t)(st_clamp(value, run.low, run.high) + run.y_zero);
}

ST_HOT static void add_run(const record_elementwise_t *op, const int8_t *a, const int8_t *b, int8_t *y) {
    const run_t run = run_of(op);
    const st_multiplier_t a_scale = op->a_scale;
    const st_multiplier_t b_scale = op->b_scale;
    for (const int8_t *end = y + op->count[0]; y != end; y++) {
        *y = finish(run, scaled(*a - run.a_zero, a_scale) + scaled(*b - run.b_zero, b_scale));
        a += run.a_step;
        b += run.b_step;
    }
}

ST_HOT static void mul_run(const record_elementwise_t *op, const int8_t *a, const int8_t *b, int8_t *y) {
    const run_t run = run_of(op);
    for (const int8_t *end = y + op->count[0]; y != end; y++) {
        *y = finish(run, (*a - run.a_zero) * (*b - run.b_zero));
        a += run.a_step;
        b += run.b_step;
    }
}

void st_op_invoke_elementwise(const st_memory_t *memory, const st_record_t *record) {
    const record_elementwise_t *op = (const record_elementwise_t *)record;
    int8_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count[3]; i++) {
        for (uint32_t j = 0; j < op->count[2]; j++) {
            for (uint32_t k = 0; k < op->count[1]; k++) {
                const int8_t *a = st_read_at(memory, op->a);
                const int8_t *b = st_read_at(memory, op->b);
                a += i * op->a_step[3] + j * op->a_step[2] + k * op->a_step[1];
                b += i * op->b_step[3] + j * op->b_step[2] + k * op->b_step[1];
                if (op->head.kind == ST_OP_ADD) {
                    add_run(op, a, b, y);
                } else {
                    mul_run(op, a, b, y);
                }
                y += op->count[0];
            }
        }
    }
}
