/* SVDF: int8 activations and feature weights; state and time weights both int16 or both int8, and the state's zero
 * point 0: with another one a sum that saturates wraps round in some versions of the reference, and not in others.
 *
 * Reference: tensorflow/lite/micro/kernels/svdf_common.cc. */
#include "st_dense.h"
#include "st_fixed.h"
#include "st_float.h"

#define OPTIONS_SVDF (6)
#define FIELD_RANK (0)
#define FIELD_ACTIVATION (1)
#define ACTIVATION_NONE (0)
#define ACTIVATION_RELU (1)
#define OPERANDS (5)
#define OPERAND_FEATURE (1)
#define OPERAND_TIME (2)
#define OPERAND_BIAS (3)
#define OPERAND_STATE (4)
#define MAX_SHIFT (30)

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    st_ref_t column; /* int32 [inputs] */
    uint32_t state;  /* [batches, filters, memory] */
    uint32_t feature;
    uint32_t time;
    uint32_t bias; /* 0 when absent */
    int32_t element; /* bytes of one of state and time: 1 or 2 */
    int32_t batches, inputs, filters, memory, rank;
    int32_t x_zero, y_zero;
    st_multiplier_t state_scale;
    st_multiplier_t y_scale;
} record_svdf_t;

/* a * b / c, in float32 as the reference computes it. */
static st_status_t load_scale(st_plan_t *plan, const st_tensor_t *a, const st_tensor_t *b, const st_tensor_t *c,
                              st_multiplier_t *multiplier) {
    uint32_t product = st_float_multiply(a->scale, b->scale);
    uint32_t ratio = product ? st_float_divide(product, c->scale) : 0;
    if (ratio == 0) {
        return st_op_refuse_type(plan, b);
    }
    return st_op_multiplier(plan, b, st_real_from_scale(ratio), st_real_from_scale(ST_FLOAT_ONE), MAX_SHIFT,
                            multiplier);
}

/* A constant matrix [rows, any] of a type, with one scale. */
static st_status_t load_matrix(st_plan_t *plan, uint32_t k, int32_t type, int32_t rows, st_tensor_t *w) {
    st_status_t status = st_plan_constant(plan, k, 0, w);
    if (status < 0) {
        return status;
    }
    if (w->type != type || !w->symmetric || w->scales.count != 1 || !st_scale_is_valid(w->scale) || w->rank != 2 ||
        (rows && w->dims[0] != rows) || (uint32_t)w->dims[1] > ST_OP_MAX_DEPTH) {
        return st_op_refuse_type(plan, w);
    }
    return 0;
}

static st_status_t load_weights(st_plan_t *plan, record_svdf_t *record, st_tensor_t *feature, st_tensor_t *time) {
    int32_t type = record->element == 1 ? ST_TENSOR_INT8 : ST_TENSOR_INT16;
    st_status_t status = load_matrix(plan, OPERAND_FEATURE, ST_TENSOR_INT8, 0, feature);
    if (status == 0) {
        status = load_matrix(plan, OPERAND_TIME, type, feature->dims[0], time);
    }
    if (status < 0) {
        return status;
    }
    record->filters = feature->dims[0];
    record->inputs = feature->dims[1];
    record->memory = time->dims[1];
    record->feature = feature->data;
    record->time = time->data;
    return 0;
}

static st_status_t load_bias(st_plan_t *plan, record_svdf_t *record, int32_t units) {
    st_tensor_t bias;
    st_status_t status = st_plan_constant(plan, OPERAND_BIAS, 1, &bias);
    if (status < 0) {
        return status;
    }
    if (bias.data && (bias.type != ST_TENSOR_INT32 || bias.elements != (uint32_t)units)) {
        return st_op_refuse_type(plan, &bias);
    }
    record->bias = bias.data;
    return 0;
}

static st_status_t load_state(st_plan_t *plan, record_svdf_t *record, st_tensor_t *state) {
    uint64_t elements = (uint64_t)((uint32_t)record->filters * (uint32_t)record->memory) * (uint32_t)record->batches;
    int32_t type = record->element == 1 ? ST_TENSOR_INT8 : ST_TENSOR_INT16;
    uint32_t count = (uint32_t)ST_MIN(elements, UINT32_MAX); /* no tensor has so many */
    st_status_t status = st_op_state(plan, OPERAND_STATE, type, count, state, &record->state);
    return status == 0 && !state->symmetric ? st_op_refuse_type(plan, state) : status;
}

/* Bytes of an element of the time weights. */
static st_status_t load_element(st_plan_t *plan, record_svdf_t *record) {
    st_tensor_t time;
    st_status_t status = st_plan_constant(plan, OPERAND_TIME, 0, &time);
    record->element = status == 0 && time.type == ST_TENSOR_INT8 ? 1 : 2;
    return status;
}

/* RELU is what LiteRT asks for; neither it nor TensorFlow Lite Micro does more than limit the output to int8. */
static st_status_t check_options(st_plan_t *plan, const record_svdf_t *record) {
    int32_t activation = st_fb_get_i8(&plan->fb, plan->options, FIELD_ACTIVATION, ACTIVATION_NONE);
    if (record->rank < 1 || record->filters % record->rank != 0 ||
        (activation != ACTIVATION_NONE && activation != ACTIVATION_RELU)) {
        return st_op_refuse_option(plan);
    }
    return 0;
}

static st_status_t prepare_weights(st_plan_t *plan, record_svdf_t *record, const st_tensor_t *x, const st_tensor_t *y) {
    st_tensor_t feature, time, state;
    st_status_t status = load_element(plan, record);
    if (status == 0) {
        status = load_weights(plan, record, &feature, &time);
    }
    if (status == 0) {
        status = check_options(plan, record);
    }
    if (status < 0) {
        return status;
    }
    int32_t units = record->filters / record->rank;
    if (x->dims[1] != record->inputs || y->dims[0] != x->dims[0] || y->dims[1] != units) {
        return st_op_refuse_type(plan, y);
    }
    status = load_bias(plan, record, units);
    if (status == 0) {
        status = load_state(plan, record, &state);
    }
    if (status == 0) {
        status = load_scale(plan, x, &feature, &state, &record->state_scale);
    }
    return status < 0 ? status : load_scale(plan, &state, &time, y, &record->y_scale);
}

static st_status_t prepare(st_plan_t *plan, record_svdf_t *record) {
    st_tensor_t x, y;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&x) || x.rank != 2) {
        return st_op_refuse_type(plan, &x);
    }
    if (!st_tensor_is_activation(&y) || y.rank != 2) {
        return st_op_refuse_type(plan, &y);
    }
    record->batches = x.dims[0];
    record->rank = st_fb_get_i32(&plan->fb, plan->options, FIELD_RANK, 0);
    record->x_zero = x.zero_point;
    record->y_zero = y.zero_point;
    status = prepare_weights(plan, record, &x, &y);
    return status < 0 ? status : st_plan_scratch(plan, 4 * (uint32_t)record->inputs, &record->column);
}

st_status_t st_op_prepare_svdf(st_plan_t *plan) {
    record_svdf_t record = {0};
    uint32_t at = 0;
    record.head.kind = ST_OP_SVDF;
    st_status_t status = st_op_options(plan, OPTIONS_SVDF);
    if (status == 0 && plan->op_inputs.count != OPERANDS) {
        status = st_op_refuse_option(plan);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

static size_t state_bytes(const record_svdf_t *op) {
    return (size_t)(op->batches * op->filters * op->memory * op->element);
}

void st_op_reset_svdf(const st_memory_t *memory, const st_record_t *record) {
    const record_svdf_t *op = (const record_svdf_t *)record;
    memset(memory->state + op->state, 0, state_bytes(op));
}

/* The newest feature of every filter of a batch, into the last column of its memory. */
static void store_features(const st_memory_t *memory, const record_svdf_t *op, uint8_t *state) {
    const int8_t *weights = (const int8_t *)memory->file + op->feature;
    const int32_t *column = st_read_at(memory, op->column);
    int32_t limit = op->element == 1 ? INT8_MAX : INT16_MAX;
    for (int32_t i = 0; i < op->filters; i++) {
        int32_t sum = st_dense_dot(weights, column, (uint32_t)op->inputs);
        int32_t value =
            st_multiply_by_quantized_multiplier(sum, op->state_scale.multiplier, op->state_scale.shift);
        value = st_clamp(value, -1 - limit, limit);
        int32_t at = (i + 1) * op->memory - 1;
        if (op->element == 1) {
            state[at] = (uint8_t)value;
        } else {
            ((int16_t *)(void *)state)[at] = (int16_t)value;
        }
        weights += op->inputs;
    }
}

/* Sum over the memory of a filter. */
static uint32_t filter_sum8(const int8_t *state, const int8_t *weights, int32_t count) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (uint32_t)(weights[i] * state[i]);
    }
    return sum;
}

static uint32_t filter_sum16(const int16_t *state, const uint8_t *weights, int32_t count) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (uint32_t)(st_read_i16(weights + 2 * i) * state[i]);
    }
    return sum;
}

static void write_outputs(const st_memory_t *memory, const record_svdf_t *op, const uint8_t *state, int8_t *y) {
    const uint8_t *weights = memory->file + op->time;
    int32_t row = op->memory * op->element;
    for (int32_t unit = 0; unit < op->filters / op->rank; unit++) {
        uint32_t sum = op->bias ? st_read_u32(memory->file + op->bias + 4 * unit) : 0;
        for (int32_t k = 0; k < op->rank; k++) {
            sum += op->element == 1 ? filter_sum8((const int8_t *)state, (const int8_t *)weights, op->memory)
                                    : filter_sum16((const int16_t *)(const void *)state, weights, op->memory);
            state += row;
            weights += row;
        }
        int32_t value =
            st_multiply_by_quantized_multiplier((int32_t)sum, op->y_scale.multiplier, op->y_scale.shift);
        y[unit] = (int8_t)(st_clamp(value, INT8_MIN - op->y_zero, INT8_MAX - op->y_zero) + op->y_zero);
    }
}

void st_op_invoke_svdf(const st_memory_t *memory, const st_record_t *record) {
    const record_svdf_t *op = (const record_svdf_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    uint8_t *state = memory->state + op->state;
    /* One step back in time; what comes into the last columns is overwritten. */
    memmove(state, state + op->element, state_bytes(op) - (size_t)op->element);
    for (int32_t batch = 0; batch < op->batches; batch++) {
        st_dense_widen(x, (uint32_t)op->inputs, op->x_zero, st_write_at(memory, op->column));
        store_features(memory, op, state);
        write_outputs(memory, op, state, y);
        state += op->filters * op->memory * op->element;
        x += op->inputs;
        y += op->filters / op->rank;
    }
}
