/* QUANTIZE from float32 to int8 and DEQUANTIZE back, on the floats' bits. From int8 to int8: op_lookup.c.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/quantize.h and dequantize.h. */
#include "st_fixed.h"
#include "st_float.h"
#include "st_op.h"

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    uint32_t count;
    int32_t zero;   /* of the int8 tensor, and its */
    uint32_t scale; /* bits */
} record_quantize_t;

/* x and y: one is float32, the other an int8 activation. */
static st_status_t prepare(st_plan_t *plan, record_quantize_t *record) {
    st_tensor_t x, y;
    int quantize = plan->code == ST_OP_QUANTIZE;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (quantize ? x.type != ST_TENSOR_FLOAT32 : !st_tensor_is_activation(&x)) {
        return st_op_refuse_type(plan, &x);
    }
    if ((quantize ? !st_tensor_is_activation(&y) : y.type != ST_TENSOR_FLOAT32) || !st_tensor_same_shape(&x, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    record->count = y.elements;
    record->zero = quantize ? y.zero_point : x.zero_point;
    record->scale = quantize ? y.scale : x.scale;
    return 0;
}

static st_status_t prepare_record(st_plan_t *plan) {
    record_quantize_t record = {{plan->code, 0}, 0, 0, 0, 0, 0};
    uint32_t at = 0;
    st_status_t status = st_plan_reserve(plan, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

st_status_t st_op_prepare_quantize(st_plan_t *plan) {
    st_tensor_t x;
    st_ref_t ref;
    st_status_t status = st_plan_operand(plan, 0, &x, &ref);
    if (status < 0) {
        return status;
    }
    return x.type == ST_TENSOR_INT8 ? st_op_prepare_lookup(plan) : prepare_record(plan);
}

st_status_t st_op_prepare_dequantize(st_plan_t *plan) {
    return prepare_record(plan);
}

void st_op_invoke_quantize(const st_memory_t *memory, const st_record_t *record) {
    const record_quantize_t *op = (const record_quantize_t *)record;
    const uint8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count; i++) {
        int32_t value = st_float_quotient(st_read_u32(x + 4 * i), op->scale);
        y[i] = (int8_t)st_clamp(value + op->zero, INT8_MIN, INT8_MAX);
    }
}

void st_op_invoke_dequantize(const st_memory_t *memory, const st_record_t *record) {
    const record_quantize_t *op = (const record_quantize_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    uint32_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count; i++) {
        y[i] = st_float_scaled(x[i] - op->zero, op->scale);
    }
}
