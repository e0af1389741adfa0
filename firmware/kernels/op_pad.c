/* PAD and PADV2 of int8 by constant widths: with the zero point, or with a constant of the same scale. */
#include "st_op.h"

#define OPERAND_WIDTHS (1)
#define OPERAND_VALUE (2)

/* Dimensions are counted from the last one; missing ones have count 1. */
typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    uint32_t bytes; /* of y */
    int32_t value;
    uint32_t start; /* bytes from y to where x begins */
    uint32_t count[ST_TENSOR_MAX_RANK]; /* of x */
    uint32_t step[ST_TENSOR_MAX_RANK];  /* in y */
} record_pad_t;

static uint32_t width(st_plan_t *plan, const st_tensor_t *widths, int32_t i) {
    return st_fb_u32(&plan->fb, widths->data + 4 * (uint32_t)i);
}

/* Returns 0 when y is not as large as x and its padding. */
static int load_steps(st_plan_t *plan, record_pad_t *record, const st_tensor_t *x, const st_tensor_t *y,
                      const st_tensor_t *widths) {
    uint32_t pitch = 1;
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        record->count[d] = (uint32_t)st_tensor_dim(x, d);
        record->step[d] = pitch;
        if (d < x->rank) {
            int32_t i = x->rank - 1 - d;
            uint32_t before = width(plan, widths, 2 * i);
            uint32_t after = width(plan, widths, 2 * i + 1);
            if (before > ST_TENSOR_MAX_BYTES || after > ST_TENSOR_MAX_BYTES ||
                before + record->count[d] + after != (uint32_t)y->dims[i]) {
                return 0;
            }
            record->start += before * pitch;
            pitch *= (uint32_t)y->dims[i];
        }
    }
    return 1;
}

static st_status_t prepare(st_plan_t *plan, record_pad_t *record) {
    st_tensor_t x, y, widths, value;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_constant(plan, OPERAND_WIDTHS, 0, &widths);
    }
    if (status == 0) {
        status = st_plan_constant(plan, OPERAND_VALUE, 1, &value);
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
    if (widths.type != ST_TENSOR_INT32 || widths.elements != 2 * (uint32_t)x.rank) {
        return st_op_refuse_type(plan, &widths);
    }
    if (!st_tensor_is_activation(&y) || y.rank != x.rank || !st_tensor_same_scale(&x, &y) ||
        !load_steps(plan, record, &x, &y, &widths)) {
        return st_op_refuse_type(plan, &y);
    }
    if (value.data && (!st_tensor_is_activation(&value) || value.elements != 1 || !st_tensor_same_scale(&value, &y))) {
        return st_op_refuse_type(plan, &value);
    }
    record->bytes = y.bytes;
    record->value = value.data ? (int8_t)st_fb_u8(&plan->fb, value.data) : y.zero_point;
    return 0;
}

st_status_t st_op_prepare_pad(st_plan_t *plan) {
    record_pad_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_PAD;
    st_status_t status = st_plan_reserve(plan, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

void st_op_invoke_pad(const st_memory_t *memory, const st_record_t *record) {
    const record_pad_t *op = (const record_pad_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    memset(y, op->value & 0xFF, op->bytes);
    y += op->start;
    for (uint32_t i = 0; i < op->count[3]; i++) {
        for (uint32_t j = 0; j < op->count[2]; j++) {
            for (uint32_t k = 0; k < op->count[1]; k++) {
                memcpy(y + i * op->step[3] + j * op->step[2] + k * op->step[1], x, op->count[0]);
                x += op->count[0];
            }
        }
    }
}
