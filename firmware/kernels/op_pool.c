/* AVERAGE_POOL_2D and MAX_POOL_2D of int8; input and output have one scale and zero point.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h. */
#include "st_fixed.h"
#include "st_op.h"

#define OPTIONS_POOL (5)
#define FIELD_PADDING (0)
#define FIELD_STRIDE_W (1)
#define FIELD_STRIDE_H (2)
#define FIELD_WINDOW_W (3)
#define FIELD_WINDOW_H (4)
#define FIELD_ACTIVATION (5)
#define PADDING_SAME (0)

/* Heights and widths in elements. */
typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    int32_t batches, depth;
    int32_t x_height, x_width;
    int32_t y_height, y_width;
    int32_t window_height, window_width;
    int32_t stride_height, stride_width;
    int32_t pad_height, pad_width;
    int32_t y_low, y_high;
} record_pool_t;

/* What of a window lies in the input, from its first row and column on. */
typedef struct {
    const int8_t *start;
    int32_t rows, columns;
} window_t;

static st_status_t load_window(st_plan_t *plan, record_pool_t *record, const st_tensor_t *y) {
    int same = st_fb_get_i8(&plan->fb, plan->options, FIELD_PADDING, PADDING_SAME) == PADDING_SAME;
    record->stride_width = st_fb_get_i32(&plan->fb, plan->options, FIELD_STRIDE_W, 0);
    record->stride_height = st_fb_get_i32(&plan->fb, plan->options, FIELD_STRIDE_H, 0);
    record->window_width = st_fb_get_i32(&plan->fb, plan->options, FIELD_WINDOW_W, 0);
    record->window_height = st_fb_get_i32(&plan->fb, plan->options, FIELD_WINDOW_H, 0);
    if (!st_op_is_step(record->stride_width) || !st_op_is_step(record->stride_height) ||
        !st_op_is_step(record->window_width) || !st_op_is_step(record->window_height)) {
        return st_op_refuse_option(plan);
    }
    record->pad_height = st_op_pad_before(record->x_height, record->y_height, record->window_height,
                                          record->stride_height, 1, same);
    record->pad_width =
        st_op_pad_before(record->x_width, record->y_width, record->window_width, record->stride_width, 1, same);
    if (record->pad_height < 0 || record->pad_width < 0) {
        return st_op_refuse_type(plan, y);
    }
    return st_op_activation(plan, FIELD_ACTIVATION, y, &record->y_low, &record->y_high);
}

static st_status_t prepare(st_plan_t *plan, record_pool_t *record) {
    st_tensor_t x, y;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&x) || x.rank != 4) {
        return st_op_refuse_type(plan, &x);
    }
    if (!st_tensor_is_activation(&y) || y.rank != 4 || !st_tensor_same_scale(&x, &y) || y.dims[0] != x.dims[0] ||
        y.dims[3] != x.dims[3]) {
        return st_op_refuse_type(plan, &y);
    }
    record->batches = x.dims[0];
    record->x_height = x.dims[1];
    record->x_width = x.dims[2];
    record->depth = x.dims[3];
    record->y_height = y.dims[1];
    record->y_width = y.dims[2];
    return load_window(plan, record, &y);
}

st_status_t st_op_prepare_pool(st_plan_t *plan) {
    record_pool_t record = {0};
    uint32_t at = 0;
    record.head.kind = plan->code;
    st_status_t status = st_op_open(plan, OPTIONS_POOL, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

static window_t clip(const record_pool_t *op, const int8_t *x, int32_t top, int32_t left) {
    int32_t bottom = ST_MIN(top + op->window_height, op->x_height);
    int32_t right = ST_MIN(left + op->window_width, op->x_width);
    top = ST_MAX(top, 0);
    left = ST_MAX(left, 0);
    window_t window = {x + (top * op->x_width + left) * op->depth, bottom - top, right - left};
    return window;
}

/* Rounded to nearest, ties away from zero. */
static int32_t average(const record_pool_t *op, const window_t *window, int32_t channel) {
    int32_t sum = 0;
    int32_t count = window->rows * window->columns;
    for (int32_t i = 0; i < window->rows; i++) {
        const int8_t *x = window->start + i * op->x_width * op->depth + channel;
        for (int32_t j = 0; j < window->columns; j++) {
            sum += *x;
            x += op->depth;
        }
    }
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

static int32_t largest(const record_pool_t *op, const window_t *window, int32_t channel) {
    int32_t most = INT8_MIN;
    for (int32_t i = 0; i < window->rows; i++) {
        const int8_t *x = window->start + i * op->x_width * op->depth + channel;
        for (int32_t j = 0; j < window->columns; j++) {
            most = ST_MAX(most, *x);
            x += op->depth;
        }
    }
    return most;
}

static void position(const record_pool_t *op, const int8_t *x, int32_t top, int32_t left, int8_t *y) {
    window_t window = clip(op, x, top, left);
    for (int32_t c = 0; c < op->depth; c++) {
        int32_t value =
            op->head.kind == ST_OP_AVERAGE_POOL_2D ? average(op, &window, c) : largest(op, &window, c);
        y[c] = (int8_t)st_clamp(value, op->y_low, op->y_high);
    }
}

void st_op_invoke_pool(const st_memory_t *memory, const st_record_t *record) {
    const record_pool_t *op = (const record_pool_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    for (int32_t batch = 0; batch < op->batches; batch++) {
        for (int32_t i = 0; i < op->y_height; i++) {
            for (int32_t j = 0; j < op->y_width; j++) {
                position(op, x, i * op->stride_height - op->pad_height, j * op->stride_width - op->pad_width, y);
                y += op->depth;
            }
        }
        x += op->x_height * op->x_width * op->depth;
    }
}
