/* RESHAPE and GATHER: bytes move, values stay. */
#include "st_op.h"

#define OPTIONS_GATHER (23)
#define FIELD_AXIS (0)
#define FIELD_BATCH_DIMS (1)

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    uint32_t bytes;
    uint32_t reserved;
} record_reshape_t;

typedef struct {
    st_record_t head;
    st_ref_t table;
    st_ref_t indices;
    st_ref_t y;
    uint32_t rows;  /* of the table before its axis */
    uint32_t axis;  /* entries to choose from */
    uint32_t count; /* indices */
    uint32_t run;   /* bytes of one entry */
    uint32_t reserved;
} record_gather_t;

st_status_t st_op_prepare_reshape(st_plan_t *plan) {
    record_reshape_t record = {{ST_OP_RESHAPE, 0}, 0, 0, 0, 0};
    st_tensor_t x, y;
    uint32_t at = 0;
    st_status_t status = st_plan_reserve(plan, sizeof(record), &at);
    if (status == 0) {
        status = st_plan_operand(plan, 0, &x, &record.x);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record.y);
    }
    if (status == 0 && (x.type != y.type || x.bytes != y.bytes)) {
        status = st_op_refuse_type(plan, &y);
    }
    if (status == 0) {
        record.bytes = y.bytes;
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

void st_op_invoke_reshape(const st_memory_t *memory, const st_record_t *record) {
    const record_reshape_t *op = (const record_reshape_t *)record;
    memcpy(st_write_at(memory, op->y), st_read_at(memory, op->x), op->bytes);
}

static st_status_t prepare_gather(st_plan_t *plan, record_gather_t *record) {
    st_tensor_t table, indices, y;
    st_status_t status = st_plan_operand(plan, 0, &table, &record->table);
    if (status == 0) {
        status = st_plan_operand(plan, 1, &indices, &record->indices);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    int32_t axis = st_fb_get_i32(&plan->fb, plan->options, FIELD_AXIS, 0);
    axis += axis < 0 ? table.rank : 0;
    if (axis < 0 || axis >= table.rank || st_fb_get_i32(&plan->fb, plan->options, FIELD_BATCH_DIMS, 0) != 0) {
        return st_op_refuse_option(plan);
    }
    if (indices.type != ST_TENSOR_INT32) {
        return st_op_refuse_type(plan, &indices);
    }
    record->rows = 1;
    for (int32_t i = 0; i < axis; i++) {
        record->rows *= (uint32_t)table.dims[i];
    }
    record->axis = (uint32_t)table.dims[axis];
    record->count = indices.elements;
    record->run = table.bytes / record->rows / record->axis;
    uint64_t bytes = (uint64_t)record->rows * record->run * record->count;
    return table.type == y.type && bytes == y.bytes ? 0 : st_op_refuse_type(plan, &y);
}

st_status_t st_op_prepare_gather(st_plan_t *plan) {
    record_gather_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_GATHER;
    st_status_t status = st_op_open(plan, OPTIONS_GATHER, sizeof(record), &at);
    if (status == 0) {
        status = prepare_gather(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

/* An index outside the table is the caller's mistake: -ST_ERROR_ARGUMENT, and y is incomplete. */
st_status_t st_op_invoke_gather(const st_memory_t *memory, const st_record_t *record) {
    const record_gather_t *op = (const record_gather_t *)record;
    const uint8_t *table = st_read_at(memory, op->table);
    const uint8_t *indices = st_read_at(memory, op->indices);
    uint8_t *y = st_write_at(memory, op->y);
    for (uint32_t row = 0; row < op->rows; row++) {
        for (uint32_t i = 0; i < op->count; i++) {
            uint32_t index = st_read_u32(indices + 4 * i);
            if (index >= op->axis) {
                return -ST_ERROR_ARGUMENT;
            }
            memcpy(y, table + (row * op->axis + index) * op->run, op->run);
            y += op->run;
        }
    }
    return 0;
}
