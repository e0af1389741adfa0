/* CONV_2D and DEPTHWISE_CONV_2D: int8, symmetric weights per output channel, int32 bias. The weights of
 * CONV_2D may be int4.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/integer_ops/conv.h, depthwise_conv.h. */
#include "st_dense.h"

#include "st_dense_int4.h"
#include "st_depthwise.h"
#include "st_fixed.h"
#include "st_lead.h"
#include "st_zero_skip.h"

#define OPTIONS_CONV (1)
#define OPTIONS_DEPTHWISE (2)
#define FIELD_PADDING (0)
#define FIELD_STRIDE_W (1)
#define FIELD_STRIDE_H (2)
#define FIELD_MULTIPLIER (3) /* of DEPTHWISE_CONV_2D; the fields after it move up by one */
#define FIELD_ACTIVATION (3)
#define FIELD_DILATION_W (4)
#define FIELD_DILATION_H (5)
#define PADDING_SAME (0)

static st_status_t load_window(st_plan_t *plan, st_record_conv_t *record, const st_tensor_t *y) {
    uint32_t moved = plan->code == ST_OP_DEPTHWISE_CONV_2D ? 1 : 0;
    int same = st_fb_get_i8(&plan->fb, plan->options, FIELD_PADDING, PADDING_SAME) == PADDING_SAME;
    record->stride_width = st_fb_get_i32(&plan->fb, plan->options, FIELD_STRIDE_W, 0);
    record->stride_height = st_fb_get_i32(&plan->fb, plan->options, FIELD_STRIDE_H, 0);
    record->dilation_width = st_fb_get_i32(&plan->fb, plan->options, FIELD_DILATION_W + moved, 1);
    record->dilation_height = st_fb_get_i32(&plan->fb, plan->options, FIELD_DILATION_H + moved, 1);
    if (!st_op_is_step(record->stride_width) || !st_op_is_step(record->stride_height) ||
        !st_op_is_step(record->dilation_width) || !st_op_is_step(record->dilation_height) ||
        !st_op_is_step(record->kernel_width) || !st_op_is_step(record->kernel_height)) {
        return st_op_refuse_option(plan);
    }
    record->pad_height = st_op_pad_before(record->x_height, record->y_height, record->kernel_height,
                                          record->stride_height, record->dilation_height, same);
    record->pad_width = st_op_pad_before(record->x_width, record->y_width, record->kernel_width,
                                         record->stride_width, record->dilation_width, same);
    return st_op_activation(plan, FIELD_ACTIVATION + moved, y, &record->y_low, &record->y_high);
}

/* Shapes: x [batches, height, width, depth], weights [y_depth or 1, height, width, depth]. */
static int load_shapes(st_record_conv_t *record, const st_tensor_t *x, const st_tensor_t *w, const st_tensor_t *y) {
    int depthwise = record->head.kind == ST_OP_DEPTHWISE_CONV_2D;
    if (x->rank != 4 || w->rank != 4 || y->rank != 4 || x->dims[0] != y->dims[0]) {
        return 0;
    }
    record->batches = x->dims[0];
    record->x_height = x->dims[1];
    record->x_width = x->dims[2];
    record->x_depth = x->dims[3];
    record->kernel_height = w->dims[1];
    record->kernel_width = w->dims[2];
    record->y_height = y->dims[1];
    record->y_width = y->dims[2];
    record->y_depth = y->dims[3];
    if (depthwise) {
        return w->dims[0] == 1 && w->dims[3] == record->y_depth && record->y_depth % record->x_depth == 0;
    }
    return w->dims[0] == record->y_depth && w->dims[3] == record->x_depth;
}

static st_status_t prepare(st_plan_t *plan, st_record_conv_t *record, st_tensor_t *w) {
    st_tensor_t x, y;
    st_status_t status = st_op_dense_operands(plan, record, &x, w, &y);
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&y) || !load_shapes(record, &x, w, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    if (plan->code == ST_OP_CONV_2D && w->type == ST_TENSOR_INT4) {
        record->head.kind = ST_OP_CONV_2D_INT4;
    }
    record->x_zero = x.zero_point;
    record->y_zero = y.zero_point;
    status = load_window(plan, record, &y);
    if (status == 0 && (record->pad_height < 0 || record->pad_width < 0)) {
        status = st_op_refuse_type(plan, &y);
    }
    return status;
}

st_status_t st_op_prepare_conv(st_plan_t *plan) {
    st_record_conv_t record = {0};
    st_tensor_t weights;
    uint32_t at = 0;
    int depthwise = plan->code == ST_OP_DEPTHWISE_CONV_2D;
    record.head.kind = plan->code;
    st_status_t status = st_op_open(plan, depthwise ? OPTIONS_DEPTHWISE : OPTIONS_CONV, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record, &weights);
    }
    if (status == 0) {
        status = st_op_dense_weights(plan, &record, &weights, depthwise ? 3 : 0);
    }
    if (status == 0) {
        uint32_t count = depthwise ? (uint32_t)record.y_depth : weights.elements / (uint32_t)record.y_depth;
        status = st_op_dense_scratch(plan, &record, count);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

static const int8_t *input_row(const st_record_conv_t *op, const int8_t *x, int32_t y, int32_t x_position) {
    if (y < 0 || y >= op->x_height || x_position < 0 || x_position >= op->x_width) {
        return NULL; /* padding: the zero point, which counts as 0 */
    }
    return x + (y * op->x_width + x_position) * op->x_depth;
}

/* The inputs under the kernel at one output position, widened. */
static void gather_column(const st_record_conv_t *op, const int8_t *x, int32_t top, int32_t left, int32_t *column) {
    for (int32_t i = 0; i < op->kernel_height; i++) {
        for (int32_t j = 0; j < op->kernel_width; j++) {
            const int8_t *row = input_row(op, x, top + i * op->dilation_height, left + j * op->dilation_width);
            if (row) {
                st_dense_widen(row, (uint32_t)op->x_depth, op->x_zero, column);
            } else {
                memset(column, 0, 4 * (size_t)op->x_depth);
            }
            column += op->x_depth;
        }
    }
}

/* The same as unsigned bytes. */
static void gather_bytes(const st_record_conv_t *op, const int8_t *x, int32_t top, int32_t left, uint8_t *column) {
    for (int32_t i = 0; i < op->kernel_height; i++) {
        for (int32_t j = 0; j < op->kernel_width; j++) {
            const int8_t *row = input_row(op, x, top + i * op->dilation_height, left + j * op->dilation_width);
            if (row) {
                st_zero_skip_lift(row, (uint32_t)op->x_depth, column);
            } else {
                memset(column, op->x_zero + 128, (size_t)op->x_depth);
            }
            column += op->x_depth;
        }
    }
}

#ifdef ST_FETCH

#define FINISHED_MEANWHILE (256) /* rows: for as long interrupts are off */

static int is_single_position(const st_record_conv_t *op) {
    return op->batches == 1 && op->y_height == 1 && op->y_width == 1;
}

/* Finish the first rows while the next layer's lead is copied; returns how many. The bias is in the pool. */
ST_HOT static uint32_t finish_meanwhile(st_fetch_t *fetch, const st_lead_t *lead, st_dense_channel_t *channel,
                                        const int32_t *sums, uint32_t rows, const st_record_conv_t *op, int8_t *y) {
    uint32_t count = ST_MIN(rows, FINISHED_MEANWHILE);
    st_fetch_start(fetch->pool, lead->from, lead->bytes);
    st_dense_finish_rows(channel, sums, count, op, y);
    st_fetch_wait();
    fetch->held = lead->from;
    fetch->held_bytes = lead->bytes;
    return count;
}

static void finish_layer(const st_memory_t *memory, const st_record_conv_t *op, st_dense_channel_t *channel,
                         const int32_t *sums, uint32_t rows, int8_t *y) {
    st_fetch_t *fetch = st_fetch_open(memory->file);
    uint32_t done = 0;
    if (fetch != NULL && is_single_position(op) && st_dense_is_quick(channel)) {
        const uint8_t *pool = (const uint8_t *)fetch->pool;
        uint32_t room = (uint32_t)(channel->bias - pool);
        if (channel->bias > pool && room < sizeof(fetch->pool)) {
            st_lead_t lead = st_lead_find(memory, &op->head, room);
            done = lead.bytes ? finish_meanwhile(fetch, &lead, channel, sums, rows, op, y) : 0;
        }
    }
    st_dense_finish_rows(channel, sums + done, rows - done, op, y + done);
}

#else

static void finish_layer(const st_memory_t *memory, const st_record_conv_t *op, st_dense_channel_t *channel,
                         const int32_t *sums, uint32_t rows, int8_t *y) {
    (void)memory;
    st_dense_finish_rows(channel, sums, rows, op, y);
}

#endif

static void packed_position(const st_memory_t *memory, const st_record_conv_t *op, const int8_t *x, int32_t top,
                            int32_t left, int8_t *y) {
    uint32_t depth = (uint32_t)(op->kernel_height * op->kernel_width * op->x_depth);
    uint32_t rows = (uint32_t)op->y_depth;
    uint32_t *sums = st_write_at(memory, op->scratch);
    uint8_t *column = (uint8_t *)sums + st_zero_skip_sum_bytes(rows);
    gather_bytes(op, x, top, left, column);
    st_dense_channel_t channel = st_dense_channels(memory, op);
    channel.bias = st_zero_skip_sums(memory->file + op->weights, rows, depth, column, sums, channel.bias);
    finish_layer(memory, op, &channel, (const int32_t *)sums, rows, y);
}

/* sums[c] += (x - zero) * w over one tap of the kernel. */
ST_HOT static void depthwise_tap(const st_record_conv_t *op, const int8_t *row, const int8_t *weights, uint32_t *sums) {
    int32_t zero = op->x_zero;
    if (op->y_depth == op->x_depth) {
        for (const int8_t *end = row + op->x_depth; row != end; row++) {
            *sums++ += (uint32_t)((*row - zero) * *weights++);
        }
        return;
    }
    int32_t repeat = op->y_depth / op->x_depth;
    for (int32_t c = 0; c < op->x_depth; c++) {
        for (int32_t m = 0; m < repeat; m++) {
            *sums++ += (uint32_t)((row[c] - zero) * *weights++);
        }
    }
}

/* Whether the kernel's taps lie behind each other, none in the padding. */
static int is_one_row(const st_record_conv_t *op, int32_t top, int32_t left) {
    return op->y_depth == op->x_depth && op->kernel_height == 1 && op->dilation_width == 1 &&
           op->kernel_width <= ST_DEPTHWISE_MAX_TAPS && top >= 0 && top < op->x_height && left >= 0 &&
           left + op->kernel_width <= op->x_width;
}

#ifdef ST_FETCH
/* The sums from a copy of the weights in RAM, the bias copied meanwhile. */
ST_HOT static void fetched_depthwise(st_fetch_t *fetch, st_depthwise_t *taps, st_dense_channel_t *channel) {
    uint32_t bytes = taps->taps * taps->depth;
    if (fetch->held != taps->weights || fetch->held_bytes < bytes) {
        st_fetch_start(fetch->pool, taps->weights, bytes);
        st_fetch_wait();
    }
    st_fetch_start(st_fetch_chunk(fetch, 1), channel->bias, 4 * taps->depth);
    taps->weights = (const int8_t *)fetch->pool;
    channel->bias = (const uint8_t *)st_fetch_chunk(fetch, 1);
    st_depthwise_sums(taps);
    st_fetch_wait();
}

static int fetch_depthwise(st_depthwise_t *taps, st_dense_channel_t *channel) {
    st_fetch_t *fetch = st_fetch_open(taps->weights);
    if (fetch == NULL || channel->bias == NULL || taps->depth < 32 || /* few: not worth it */
        !st_fetch_fits(taps->weights, taps->taps * taps->depth, ST_FETCH_CHUNK) ||
        !st_fetch_fits(channel->bias, 4 * taps->depth, ST_FETCH_CHUNK)) {
        return 0;
    }
    fetched_depthwise(fetch, taps, channel);
    return 1;
}
#else
static int fetch_depthwise(st_depthwise_t *taps, st_dense_channel_t *channel) {
    (void)taps;
    (void)channel;
    return 0;
}
#endif

static void depthwise_row(const st_memory_t *memory, const st_record_conv_t *op, const int8_t *row, int8_t *y) {
    uint32_t depth = (uint32_t)op->y_depth;
    uint32_t *sums = st_write_at(memory, op->scratch);
    st_depthwise_t taps = {row, (const int8_t *)memory->file + op->weights, sums, depth, (uint32_t)op->kernel_width,
                           op->x_zero};
    st_dense_channel_t channel = st_dense_channels(memory, op);
    if (!fetch_depthwise(&taps, &channel)) {
        st_depthwise_sums(&taps);
    }
    finish_layer(memory, op, &channel, (const int32_t *)sums, depth, y);
}

static void depthwise_position(const st_memory_t *memory, const st_record_conv_t *op, const int8_t *x, int32_t top,
                               int32_t left, int8_t *y) {
    if (is_one_row(op, top, left)) {
        depthwise_row(memory, op, input_row(op, x, top, left), y);
        return;
    }
    uint32_t *sums = st_write_at(memory, op->scratch);
    const int8_t *weights = (const int8_t *)memory->file + op->weights;
    st_dense_channel_t channel = st_dense_channels(memory, op);
    memset(sums, 0, 4 * (size_t)op->y_depth);
    for (int32_t i = 0; i < op->kernel_height; i++) {
        for (int32_t j = 0; j < op->kernel_width; j++) {
            const int8_t *row = input_row(op, x, top + i * op->dilation_height, left + j * op->dilation_width);
            if (row) {
                depthwise_tap(op, row, weights, sums);
            }
            weights += op->y_depth;
        }
    }
    st_dense_finish_rows(&channel, (const int32_t *)sums, (uint32_t)op->y_depth, op, y);
}

static void dense_position(const st_memory_t *memory, const st_record_conv_t *op, const int8_t *x, int32_t top,
                           int32_t left, int8_t *y) {
    int32_t *column = st_write_at(memory, op->scratch);
    uint32_t depth = (uint32_t)(op->kernel_height * op->kernel_width * op->x_depth);
    gather_column(op, x, top, left, column);
    if (op->head.kind == ST_OP_CONV_2D) {
        st_dense_rows(memory, op, column, depth, y);
    } else {
        st_dense_int4_rows(memory, op, column, depth, y);
    }
}

static void position(const st_memory_t *memory, const st_record_conv_t *op, const int8_t *x, int32_t top,
                     int32_t left, int8_t *y) {
    switch (op->head.kind) {
        case ST_OP_DEPTHWISE_CONV_2D:
            depthwise_position(memory, op, x, top, left, y);
            break;
        case ST_OP_ZERO_SKIP_INT8:
        case ST_OP_ZERO_SKIP_INT4:
            packed_position(memory, op, x, top, left, y);
            break;
        default:
            dense_position(memory, op, x, top, left, y);
    }
}

ST_HOT void st_op_invoke_conv(const st_memory_t *memory, const st_record_t *record) {
    const st_record_conv_t *op = (const st_record_conv_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    for (int32_t batch = 0; batch < op->batches; batch++) {
        for (int32_t i = 0; i < op->y_height; i++) {
            for (int32_t j = 0; j < op->y_width; j++) {
                position(memory, op, x, i * op->stride_height - op->pad_height,
                         j * op->stride_width - op->pad_width, y);
                y += op->y_depth;
            }
        }
        x += op->x_height * op->x_width * op->x_depth;
    }
}
