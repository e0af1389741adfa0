/* UNIDIRECTIONAL_SEQUENCE_LSTM: int8 activations and recurrent state, int16 cell, one batch; no
 * peephole, projection, layer normalisation or coupled gates.
 *
 * Reference: tensorflow/lite/micro/kernels/lstm_eval_common.cc (scales), lstm_eval.h (step),
 * reference/integer_ops/logistic.h and tanh.h (the table and its interpolation). LiteRT's kernel
 * uses other functions and differs, see docs/model_file.md. */
#include "st_dense.h"
#include "st_fixed.h"
#include "st_sigmoid.h"
#include "st_zero_skip.h"

#define OPTIONS_LSTM (71)
#define FIELD_ACTIVATION (0)
#define FIELD_CELL_CLIP (1)
#define FIELD_PROJECTION_CLIP (2)
#define FIELD_TIME_MAJOR (3)
#define ACTIVATION_TANH (4)

#define GATES (4) /* input, forget, cell, output: the schema's order */
#define GATE_INPUT (0)
#define GATE_FORGET (1)
#define GATE_CELL (2)
#define GATE_OUTPUT (3)
#define OPERANDS (24)
#define OPERAND_WEIGHTS (1)
#define OPERAND_RECURRENT (5)
#define OPERAND_PEEPHOLE (9)
#define OPERAND_BIAS (12)
#define OPERAND_PROJECTION (16)
#define OPERAND_HIDDEN (18)
#define OPERAND_CELL (19)
#define OPERAND_NORM (20)
#define PACKED_OPERANDS (ST_ZERO_SKIP_LSTM_BIAS_INPUT + GATES)

#define SCALE_GATE (0x39800000u)   /* 2^-12: Q3.12 into sigmoid and tanh */
#define SCALE_OUTPUT (0x38000000u) /* 2^-15: Q0.15 out of them */
#define CELL_MIN_POWER (-15)
#define CELL_MAX_POWER (-9)
#define MAX_SHIFT (30)

/* Weights: positions of the matrices, or of their packed weights' headers. */
typedef struct {
    uint32_t weights;
    uint32_t recurrent;
    uint32_t bias;
    uint32_t recurrent_bias; /* of packed weights; 0 when absent */
    st_multiplier_t weights_scale;
    st_multiplier_t recurrent_scale;
} gate_t;

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    st_ref_t x_column; /* int32; for packed weights uint8 */
    st_ref_t h_column;
    uint32_t hidden; /* int8 [cells], in the state */
    uint32_t cell;   /* int16 [cells] */
    int32_t steps;
    int32_t inputs;
    int32_t cells;
    int32_t x_zero;
    int32_t h_zero;
    int32_t cell_power; /* cell scale = 2^cell_power */
    int32_t cell_clip;  /* -1: none */
    st_ref_t gate_scratch; /* of packed weights: sums of weights and of recurrent weights, int16 [GATES][cells] */
    st_multiplier_t forget_scale; /* forget gate * cell to cell */
    st_multiplier_t input_scale;  /* input gate * cell gate to cell */
    st_multiplier_t hidden_scale; /* output gate * tanh(cell) to hidden */
    gate_t gates[GATES];
} record_lstm_t;

/* A weight matrix [cells, columns] with one scale, dense or packed, and its multiplier into Q3.12. */
static st_status_t load_matrix(st_plan_t *plan, uint32_t k, int32_t cells, int32_t columns, uint32_t x_scale,
                               uint32_t *position, st_multiplier_t *scale) {
    st_tensor_t w;
    st_status_t status = plan->packed ? st_plan_shape(plan, k, &w) : st_plan_constant(plan, k, 0, &w);
    if (status < 0) {
        return status;
    }
    if (w.type != ST_TENSOR_INT8 || !w.symmetric || w.scales.count != 1 || !st_scale_is_valid(w.scale) ||
        w.rank != 2 || w.dims[0] != cells || w.dims[1] != columns) {
        return st_op_refuse_type(plan, &w);
    }
    st_real_t product = st_real_product(st_real_from_scale(x_scale), st_real_from_scale(w.scale));
    *position = w.data;
    if (plan->packed) {
        status = st_zero_skip_prepare(plan, ST_ZERO_SKIP_LSTM_INPUT + k - OPERAND_WEIGHTS, (uint32_t)cells,
                                      (uint32_t)columns, 0, position);
        if (status < 0) {
            return status;
        }
    }
    return st_op_multiplier(plan, &w, product, st_real_from_scale(SCALE_GATE), MAX_SHIFT, scale);
}

static st_status_t load_bias(st_plan_t *plan, uint32_t k, int optional, int32_t cells, uint32_t *position) {
    st_tensor_t bias;
    st_status_t status = st_plan_constant(plan, k, optional, &bias);
    if (status < 0) {
        return status;
    }
    *position = bias.data;
    return bias.data && (bias.type != ST_TENSOR_INT32 || bias.elements != (uint32_t)cells)
               ? st_op_refuse_type(plan, &bias)
               : 0;
}

static st_status_t load_gates(st_plan_t *plan, record_lstm_t *record, uint32_t x_scale, uint32_t h_scale) {
    st_status_t status = 0;
    for (uint32_t k = 0; status == 0 && k < GATES; k++) {
        gate_t *gate = &record->gates[k];
        status = load_matrix(plan, OPERAND_WEIGHTS + k, record->cells, record->inputs, x_scale, &gate->weights,
                             &gate->weights_scale);
        if (status == 0) {
            status = load_matrix(plan, OPERAND_RECURRENT + k, record->cells, record->cells, h_scale,
                                 &gate->recurrent, &gate->recurrent_scale);
        }
        if (status == 0) {
            status = load_bias(plan, OPERAND_BIAS + k, 0, record->cells, &gate->bias);
        }
        if (status == 0 && plan->packed) {
            status = load_bias(plan, ST_ZERO_SKIP_LSTM_BIAS_INPUT + k, 1, record->cells, &gate->recurrent_bias);
        }
    }
    return status;
}

/* trunc(clip / scale), at most 32767, for a scale of 2^power; -1 for a clip of zero, which means
 * no clipping. */
static int32_t quantized_clip(uint32_t clip, int32_t power) {
    if (!st_scale_is_valid(clip)) {
        return clip ? 0 : -1;
    }
    st_real_t real = st_real_from_scale(clip);
    int32_t shift = real.exponent - power; /* the mantissa has 24 bits: -24 and less leave nothing */
    if (shift > -9) {
        return INT16_MAX;
    }
    return shift < -31 ? 0 : (int32_t)st_clamp((int32_t)(real.mantissa >> -shift), 0, INT16_MAX);
}

static int is_absent(st_plan_t *plan, uint32_t first, uint32_t count) {
    for (uint32_t k = first; k < first + count; k++) {
        if (st_fb_i32_at(&plan->fb, plan->op_inputs, k) != -1) {
            return 0;
        }
    }
    return 1;
}

static st_status_t check_options(st_plan_t *plan) {
    int32_t clip = st_fb_get_i32(&plan->fb, plan->options, FIELD_CELL_CLIP, 0);
    if (st_fb_get_i8(&plan->fb, plan->options, FIELD_ACTIVATION, 0) != ACTIVATION_TANH || clip < 0 ||
        (uint32_t)clip >= 0x7F800000u || st_fb_get_i32(&plan->fb, plan->options, FIELD_PROJECTION_CLIP, 0) != 0 ||
        plan->op_inputs.count != (plan->packed ? PACKED_OPERANDS : OPERANDS) || !is_absent(plan, OPERAND_PEEPHOLE, 3) ||
        !is_absent(plan, OPERAND_PROJECTION, 2) || !is_absent(plan, OPERAND_NORM, 4)) {
        return st_op_refuse_option(plan);
    }
    return 0;
}

/* x [1, steps, inputs] or, time-major, [steps, 1, inputs]; y the same with cells. */
static int load_shapes(st_plan_t *plan, record_lstm_t *record, const st_tensor_t *x, const st_tensor_t *y) {
    int32_t time = st_fb_get_i8(&plan->fb, plan->options, FIELD_TIME_MAJOR, 0) ? 0 : 1;
    if (x->rank != 3 || y->rank != 3 || x->dims[1 - time] != 1 || y->dims[1 - time] != 1 ||
        x->dims[time] != y->dims[time]) {
        return 0;
    }
    record->steps = x->dims[time];
    record->inputs = x->dims[2];
    record->cells = y->dims[2];
    record->x_zero = x->zero_point;
    record->h_zero = y->zero_point;
    return (uint32_t)record->inputs <= ST_OP_MAX_DEPTH && (uint32_t)record->cells <= ST_OP_MAX_DEPTH;
}

static st_status_t load_cell_scale(st_plan_t *plan, record_lstm_t *record, const st_tensor_t *cell, uint32_t h_scale) {
    st_real_t output = st_real_from_scale(SCALE_OUTPUT);
    st_real_t cell_real = st_real_from_scale(cell->scale);
    st_real_t squared = st_real_product(output, output);
    record->cell_power = (int32_t)(cell->scale >> 23) - 127;
    if ((cell->scale & 0x7FFFFFu) != 0 || record->cell_power < CELL_MIN_POWER ||
        record->cell_power > CELL_MAX_POWER || !cell->symmetric) {
        return st_op_refuse_type(plan, cell);
    }
    record->forget_scale = st_quantize_ratio(st_real_product(output, cell_real), cell_real);
    record->input_scale = st_quantize_ratio(squared, cell_real);
    record->cell_clip =
        quantized_clip((uint32_t)st_fb_get_i32(&plan->fb, plan->options, FIELD_CELL_CLIP, 0), record->cell_power);
    return st_op_multiplier(plan, cell, squared, st_real_from_scale(h_scale), MAX_SHIFT, &record->hidden_scale);
}

static st_status_t prepare(st_plan_t *plan, record_lstm_t *record) {
    st_tensor_t x, y, hidden, cell;
    st_status_t status = st_plan_operand(plan, 0, &x, &record->x);
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&x)) {
        return st_op_refuse_type(plan, &x);
    }
    if (!st_tensor_is_activation(&y) || !load_shapes(plan, record, &x, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    status = st_op_state(plan, OPERAND_HIDDEN, ST_TENSOR_INT8, (uint32_t)record->cells, &hidden, &record->hidden);
    if (status == 0 && !st_tensor_same_scale(&hidden, &y)) {
        status = st_op_refuse_type(plan, &hidden);
    }
    if (status == 0) {
        status = st_op_state(plan, OPERAND_CELL, ST_TENSOR_INT16, (uint32_t)record->cells, &cell, &record->cell);
    }
    if (status == 0) {
        status = load_cell_scale(plan, record, &cell, hidden.scale);
    }
    return status < 0 ? status : load_gates(plan, record, x.scale, hidden.scale);
}

static st_status_t load_scratch(st_plan_t *plan, record_lstm_t *record) {
    uint32_t bytes = plan->packed ? 1 : 4; /* of an input */
    uint32_t cells = (uint32_t)record->cells;
    st_status_t status = st_plan_scratch(plan, bytes * (uint32_t)record->inputs, &record->x_column);
    if (status == 0) {
        status = st_plan_scratch(plan, bytes * cells, &record->h_column);
    }
    if (status == 0 && plan->packed) {
        status = st_plan_scratch(plan, 2 * st_zero_skip_sum_bytes(cells) + 2 * GATES * cells, &record->gate_scratch);
    }
    return status;
}

st_status_t st_op_prepare_lstm(st_plan_t *plan) {
    record_lstm_t record = {0};
    uint32_t at = 0;
    record.head.kind = plan->packed ? ST_OP_ZERO_SKIP_LSTM : ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM;
    st_status_t status = st_op_options(plan, OPTIONS_LSTM);
    if (status == 0) {
        status = check_options(plan);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = prepare(plan, &record);
    }
    if (status == 0) {
        status = load_scratch(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

void st_op_reset_lstm(const st_memory_t *memory, const st_record_t *record) {
    const record_lstm_t *op = (const record_lstm_t *)record;
    memset(memory->state + op->hidden, op->h_zero & 0xFF, (size_t)op->cells);
    memset(memory->state + op->cell, 0, 2 * (size_t)op->cells);
}

/* Round and saturate an accumulator to int16. */
static int32_t to_i16(uint32_t sum, st_multiplier_t scale) {
    return st_saturate_i16(st_multiply_by_quantized_multiplier((int32_t)sum, scale.multiplier, scale.shift));
}

/* Pre-activation of one gate of one cell, Q3.12, from its two sums of products. */
static int32_t join_sums(const gate_t *gate, uint32_t x_sum, uint32_t h_sum) {
    return st_saturate_i16(to_i16(x_sum, gate->weights_scale) + to_i16(h_sum, gate->recurrent_scale));
}

static int32_t gate_input(const record_lstm_t *op, const gate_t *gate, const st_memory_t *memory, int32_t cell) {
    const int8_t *weights = (const int8_t *)memory->file + gate->weights + cell * op->inputs;
    const int8_t *recurrent = (const int8_t *)memory->file + gate->recurrent + cell * op->cells;
    uint32_t x_sum = (uint32_t)st_dense_dot(weights, st_read_at(memory, op->x_column), (uint32_t)op->inputs);
    uint32_t h_sum = (uint32_t)st_dense_dot(recurrent, st_read_at(memory, op->h_column), (uint32_t)op->cells);
    return join_sums(gate, x_sum + st_read_u32(memory->file + gate->bias + 4 * cell), h_sum);
}

/* The same of packed weights for all cells. */
static void packed_gate(const st_memory_t *memory, const record_lstm_t *op, const gate_t *gate, int16_t *inputs) {
    uint32_t cells = (uint32_t)op->cells;
    uint32_t *x_sums = st_write_at(memory, op->gate_scratch);
    uint32_t *h_sums = x_sums + st_zero_skip_sum_bytes(cells) / 4;
    const uint8_t *file = memory->file;
    st_zero_skip_sums(file + gate->weights, cells, (uint32_t)op->inputs, st_read_at(memory, op->x_column), x_sums, NULL);
    st_zero_skip_sums(file + gate->recurrent, cells, cells, st_read_at(memory, op->h_column), h_sums, NULL);
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t h_bias = gate->recurrent_bias ? st_read_u32(file + gate->recurrent_bias + 4 * i) : 0;
        inputs[i] = (int16_t)join_sums(gate, x_sums[i] + st_read_u32(file + gate->bias + 4 * i), h_sums[i] + h_bias);
    }
}

/* New cell value of one cell, from the gates and the old one. */
static int32_t next_cell(const record_lstm_t *op, int32_t input, int32_t forget, int32_t candidate, int32_t old) {
    int32_t kept = to_i16((uint32_t)(forget * old), op->forget_scale);
    int32_t added = to_i16((uint32_t)(input * candidate), op->input_scale);
    int32_t cell = st_saturate_i16(kept + added);
    return op->cell_clip >= 0 ? st_clamp(cell, -op->cell_clip, op->cell_clip) : cell;
}

/* New cell and hidden value of one cell from its gates' pre-activations. */
static void cell_step(const st_memory_t *memory, const record_lstm_t *op, int32_t i, const int32_t gates[GATES]) {
    int8_t *hidden = (int8_t *)memory->state + op->hidden;
    int16_t *cells = (int16_t *)(void *)(memory->state + op->cell);
    int32_t input = st_sigmoid_q15(gates[GATE_INPUT]);
    int32_t forget = st_sigmoid_q15(gates[GATE_FORGET]);
    int32_t candidate = st_tanh_q15(gates[GATE_CELL], -12);
    int32_t output = st_sigmoid_q15(gates[GATE_OUTPUT]);
    cells[i] = (int16_t)next_cell(op, input, forget, candidate, cells[i]);
    int32_t product = output * st_tanh_q15(cells[i], op->cell_power);
    int32_t scaled =
        st_multiply_by_quantized_multiplier(product, op->hidden_scale.multiplier, op->hidden_scale.shift);
    hidden[i] = (int8_t)(st_clamp(scaled, INT8_MIN - op->h_zero, INT8_MAX - op->h_zero) + op->h_zero);
}

static void step(const st_memory_t *memory, const record_lstm_t *op, const int8_t *x) {
    const int8_t *hidden = (const int8_t *)memory->state + op->hidden;
    int32_t gates[GATES];
    /* Widened copies of both inputs: the recurrent state is overwritten cell by cell. */
    st_dense_widen(x, (uint32_t)op->inputs, op->x_zero, st_write_at(memory, op->x_column));
    st_dense_widen(hidden, (uint32_t)op->cells, op->h_zero, st_write_at(memory, op->h_column));
    for (int32_t i = 0; i < op->cells; i++) {
        for (int k = 0; k < GATES; k++) {
            gates[k] = gate_input(op, &op->gates[k], memory, i);
        }
        cell_step(memory, op, i, gates);
    }
}

static void packed_step(const st_memory_t *memory, const record_lstm_t *op, const int8_t *x) {
    const int8_t *hidden = (const int8_t *)memory->state + op->hidden;
    uint32_t cells = (uint32_t)op->cells;
    int16_t *inputs = (int16_t *)st_write_at(memory, op->gate_scratch) + st_zero_skip_sum_bytes(cells);
    int32_t gates[GATES];
    st_zero_skip_lift(x, (uint32_t)op->inputs, st_write_at(memory, op->x_column));
    st_zero_skip_lift(hidden, cells, st_write_at(memory, op->h_column));
    for (uint32_t k = 0; k < GATES; k++) {
        packed_gate(memory, op, &op->gates[k], inputs + k * cells);
    }
    for (uint32_t i = 0; i < cells; i++) {
        for (uint32_t k = 0; k < GATES; k++) {
            gates[k] = inputs[k * cells + i];
        }
        cell_step(memory, op, (int32_t)i, gates);
    }
}

void st_op_invoke_lstm(const st_memory_t *memory, const st_record_t *record) {
    const record_lstm_t *op = (const record_lstm_t *)record;
    const int8_t *x = st_read_at(memory, op->x);
    int8_t *y = st_write_at(memory, op->y);
    for (int32_t t = 0; t < op->steps; t++) {
        if (op->head.kind == ST_OP_ZERO_SKIP_LSTM) {
            packed_step(memory, op, x);
        } else {
            step(memory, op, x);
        }
        memcpy(y, memory->state + op->hidden, (size_t)op->cells);
        x += op->inputs;
        y += op->cells;
    }
}
