/* CONCATENATION of tensors of one type, scale and zero point. */
#include "st_op.h"

#define OPTIONS_CONCATENATION (10)
#define FIELD_AXIS (0)
#define FIELD_ACTIVATION (1)
#define MAX_INPUTS (8)

typedef struct {
    st_record_t head;
    st_ref_t y;
    uint32_t rows; /* how often every input gives one run */
    uint32_t count;
    st_ref_t x[MAX_INPUTS];
    uint32_t run[MAX_INPUTS]; /* bytes */
} record_concatenation_t;

static int fits(const st_tensor_t *x, const st_tensor_t *y, int32_t axis) {
    if (x->rank != y->rank || x->type != y->type || !st_tensor_same_scale(x, y)) {
        return 0;
    }
    for (int32_t i = 0; i < y->rank; i++) {
        if (i != axis && x->dims[i] != y->dims[i]) {
            return 0;
        }
    }
    return 1;
}

static st_status_t load_inputs(st_plan_t *plan, record_concatenation_t *record, st_tensor_t *y) {
    st_tensor_t x;
    int32_t axis = st_fb_get_i32(&plan->fb, plan->options, FIELD_AXIS, 0);
    int32_t total = 0;
    axis += axis < 0 ? y->rank : 0;
    if (axis < 0 || axis >= y->rank) {
        return st_op_refuse_option(plan);
    }
    record->rows = 1;
    for (int32_t i = 0; i < axis; i++) {
        record->rows *= (uint32_t)y->dims[i];
    }
    for (uint32_t k = 0; k < record->count; k++) {
        st_status_t status = st_plan_operand(plan, k, &x, &record->x[k]);
        if (status < 0) {
            return status;
        }
        if (!fits(&x, y, axis)) {
            return st_op_refuse_type(plan, &x);
        }
        record->run[k] = x.bytes / record->rows;
        total += x.dims[axis];
    }
    return total == y->dims[axis] ? 0 : st_op_refuse_type(plan, y);
}

st_status_t st_op_prepare_concatenation(st_plan_t *plan) {
    record_concatenation_t record = {0};
    st_tensor_t y;
    uint32_t at = 0;
    record.head.kind = ST_OP_CONCATENATION;
    record.count = plan->op_inputs.count;
    st_status_t status = st_op_options(plan, OPTIONS_CONCATENATION);
    if (status == 0 && (st_fb_get_i8(&plan->fb, plan->options, FIELD_ACTIVATION, 0) != 0 || record.count == 0 ||
                        record.count > MAX_INPUTS)) {
        status = st_op_refuse_option(plan);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record.y);
    }
    if (status == 0) {
        status = load_inputs(plan, &record, &y);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

ST_HOT void st_op_invoke_concatenation(const st_memory_t *memory, const st_record_t *record) {
    const record_concatenation_t *op = (const record_concatenation_t *)record;
    uint8_t *y = st_write_at(memory, op->y);
    for (uint32_t row = 0; row < op->rows; row++) {
        for (uint32_t k = 0; k < op->count; k++) {
            memcpy(y, (const uint8_t *)st_read_at(memory, op->x[k]) + row * op->run[k], op->run[k]);
            y += op->run[k];
        }
    }
}
