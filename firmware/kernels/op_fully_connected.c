/* FULLY_CONNECTED: planned as a 1x1 convolution over one position per batch.
 *
 * Reference: tensorflow/lite/micro/kernels/fully_connected_common.cc (double rounding; LiteRT's
 * own kernel rounds once, see docs/model_file.md). */
#include "st_op.h"

#define OPTIONS_FULLY_CONNECTED (8)
#define FIELD_ACTIVATION (0)
#define FIELD_WEIGHTS_FORMAT (1)

static st_status_t prepare(st_plan_t *plan, st_record_conv_t *record, st_tensor_t *w) {
    st_tensor_t x, y;
    st_status_t status = st_op_dense_operands(plan, record, &x, w, &y);
    if (status < 0) {
        return status;
    }
    if (w->rank != 2 || x.elements % (uint32_t)w->dims[1] != 0) {
        return st_op_refuse_type(plan, w);
    }
    record->batches = (int32_t)(x.elements / (uint32_t)w->dims[1]);
    record->x_depth = w->dims[1];
    record->y_depth = w->dims[0];
    if (!st_tensor_is_activation(&y) || y.elements / (uint32_t)record->batches != (uint32_t)record->y_depth ||
        y.elements % (uint32_t)record->batches != 0) {
        return st_op_refuse_type(plan, &y);
    }
    record->x_zero = x.zero_point;
    record->y_zero = y.zero_point;
    return st_op_activation(plan, FIELD_ACTIVATION, &y, &record->y_low, &record->y_high);
}

st_status_t st_op_prepare_fully_connected(st_plan_t *plan) {
    st_record_conv_t record = {0};
    st_tensor_t weights;
    uint32_t at = 0;
    record.head.kind = ST_OP_CONV_2D;
    record.x_height = record.x_width = record.y_height = record.y_width = 1;
    record.kernel_height = record.kernel_width = record.stride_height = record.stride_width = 1;
    record.dilation_height = record.dilation_width = 1;
    st_status_t status = st_op_options(plan, OPTIONS_FULLY_CONNECTED);
    if (status == 0 && st_fb_get_i8(&plan->fb, plan->options, FIELD_WEIGHTS_FORMAT, 0) != 0) {
        status = st_op_refuse_option(plan);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = prepare(plan, &record, &weights);
    }
    if (status == 0) {
        status = st_op_dense_weights(plan, &record, &weights, 0);
    }
    if (status == 0) {
        status = st_op_dense_scratch(plan, &record, (uint32_t)record.x_depth);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}
