/* ADD of two int8 tensors of one shape.
 *
 * Reference: tensorflow/lite/micro/kernels/add_common.cc, reference/add.h (left shift 20). */
#include "st_fixed.h"
#include "st_op.h"

#define OPTIONS_ADD (11)
#define FIELD_ACTIVATION (0)
#define LEFT_SHIFT (20)

typedef struct {
    st_record_t head;
    st_ref_t a;
    st_ref_t b;
    st_ref_t y;
    uint32_t count;
    int32_t a_zero, b_zero, y_zero, y_low;
    st_multiplier_t a_scale, b_scale, y_scale;
} record_add_t;

static st_status_t load_scales(st_plan_t *plan, record_add_t *record, uint32_t a, uint32_t b, const st_tensor_t *y) {
    st_real_t twice_max = st_real_from_scale(ST_MAX(a, b)); /* positive floats order like their bits */
    st_real_t y_real = st_real_from_scale(y->scale);
    twice_max.exponent += 1;
    y_real.exponent += LEFT_SHIFT;
    record->a_scale = st_quantize_ratio(st_real_from_scale(a), twice_max);
    record->b_scale = st_quantize_ratio(st_real_from_scale(b), twice_max);
    return st_op_multiplier(plan, y, twice_max, y_real, 0, &record->y_scale);
}

static st_status_t prepare(st_plan_t *plan, record_add_t *record) {
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
    if (!st_tensor_is_activation(&b) || !st_tensor_same_shape(&a, &b)) {
        return st_op_refuse_type(plan, &b);
    }
    if (!st_tensor_is_activation(&y) || !st_tensor_same_shape(&a, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    record->count = y.elements;
    record->a_zero = a.zero_point;
    record->b_zero = b.zero_point;
    record->y_zero = y.zero_point;
    status = load_scales(plan, record, a.scale, b.scale, &y);
    return status < 0 ? status : st_op_activation(plan, FIELD_ACTIVATION, y.zero_point, &record->y_low);
}

st_status_t st_op_prepare_add(st_plan_t *plan) {
    record_add_t record = {0};
    uint32_t at;
    record.head.kind = ST_OP_ADD;
    st_status_t status = st_op_options(plan, OPTIONS_ADD);
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = prepare(plan, &record);
    }
    if (status == 0) {
        record.head.next = ST_ALIGN8(plan->used);
        st_plan_write(plan, at, &record, sizeof(record));
    }
    return status;
}

/* value * 2^20 * multiplier * 2^(shift - 31), rounded as st_multiply_by_quantized_multiplier does.
 * A value of 9 bits leaves room to do without 64-bit products: multiplier = high * 2^11 + low. */
static inline int32_t scaled(int32_t value, st_multiplier_t scale) {
    int32_t low = value * (scale.multiplier & 0x7FF);
    int32_t rounded = low >= 0 ? (low + 0x400) >> 11 : -((0x400 - low) >> 11);
    return st_rounding_divide_by_pot(value * (scale.multiplier >> 11) + rounded, -scale.shift);
}

ST_HOT void st_op_invoke_add(const st_memory_t *memory, const st_record_t *record) {
    const record_add_t *op = (const record_add_t *)record;
    const int8_t *a = st_read_at(memory, op->a);
    const int8_t *b = st_read_at(memory, op->b);
    int8_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count; i++) {
        int32_t sum = scaled(a[i] - op->a_zero, op->a_scale) + scaled(b[i] - op->b_zero, op->b_scale);
        sum = st_multiply_by_quantized_multiplier(sum, op->y_scale.multiplier, op->y_scale.shift);
        y[i] = (int8_t)st_clamp(sum + op->y_zero, op->y_low, INT8_MAX);
    }
}
