/* Functions of one int8, tabulated when the model is loaded: LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU, and QUANTIZE
 * from int8 to int8.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h and tanh.h, requantize.h, leaky_relu.h,
 * tensorflow/lite/micro/kernels/activations_common.cc. */
#include "st_exp.h"
#include "st_fixed.h"
#include "st_float.h"
#include "st_op.h"

#define OPTIONS_LEAKY_RELU (75)
#define FIELD_ALPHA (0)
#define MAX_SHIFT (30)
#define TABLE_BYTES (256)

#define SCALE_LOGISTIC (0x3B800000u)   /* 2^-8 */
#define SCALE_TANH (0x3C000000u)       /* 2^-7 */
#define SCALE_ARGUMENT (0x32000000u)   /* 2^-27: Q4.27 */
#define ARGUMENT_LIMIT (15u << 27)     /* beyond it logistic and tanh saturate */
#define MAX_ARGUMENT_SHIFT (31)

typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    uint32_t table; /* int8 [256] in the state, by the byte of x */
    uint32_t count;
} record_lookup_t;

/* What makes the table. */
typedef struct {
    int32_t code;
    int32_t x_zero, y_zero, y_low, y_high;
    int32_t radius; /* from which x - x_zero on logistic and tanh saturate */
    st_multiplier_t scale;
    st_multiplier_t negative_scale; /* of x below its zero point */
} function_t;

/* Logistic or tanh of x - x_zero. */
static int32_t sigmoid(const function_t *function, int32_t x) {
    if (x <= -function->radius || x >= function->radius) {
        return x <= -function->radius ? INT8_MIN : INT8_MAX;
    }
    int32_t argument = st_multiply_by_quantized_multiplier(x, function->scale.multiplier, function->scale.shift);
    if (function->code == ST_OP_LOGISTIC) {
        return st_rounding_divide_by_pot(st_logistic_q27(argument), 23) + INT8_MIN;
    }
    return st_rounding_divide_by_pot(st_tanh_q27(argument), 24);
}

static int8_t value_of(const function_t *function, int32_t x) {
    if (function->code == ST_OP_LOGISTIC || function->code == ST_OP_TANH) {
        return (int8_t)st_clamp(sigmoid(function, x), INT8_MIN, INT8_MAX);
    }
    st_multiplier_t scale = x < 0 ? function->negative_scale : function->scale;
    int32_t y = st_multiply_by_quantized_multiplier(x, scale.multiplier, scale.shift);
    return (int8_t)(st_clamp(y, function->y_low - function->y_zero, function->y_high - function->y_zero) +
                    function->y_zero);
}

static st_status_t load_sigmoid(st_plan_t *plan, function_t *function, const st_tensor_t *x, const st_tensor_t *y) {
    int logistic = plan->code == ST_OP_LOGISTIC;
    if (y->scale != (logistic ? SCALE_LOGISTIC : SCALE_TANH) || y->zero_point != (logistic ? INT8_MIN : 0)) {
        return st_op_refuse_type(plan, y);
    }
    st_status_t status = st_op_multiplier(plan, x, st_real_from_scale(x->scale), st_real_from_scale(SCALE_ARGUMENT),
                                          MAX_ARGUMENT_SHIFT, &function->scale);
    if (status == 0 && (function->scale.shift < 0 || function->scale.multiplier == 0)) {
        status = st_op_refuse_type(plan, x);
    }
    function->radius = (int32_t)(ARGUMENT_LIMIT >> (function->scale.shift & 31));
    return status;
}

/* The reference computes these ratios in float32. */
static st_status_t load_leaky(st_plan_t *plan, function_t *function, const st_tensor_t *x, const st_tensor_t *y) {
    st_real_t one = st_real_from_scale(ST_FLOAT_ONE);
    uint32_t alpha = (uint32_t)st_fb_get_i32(&plan->fb, plan->options, FIELD_ALPHA, 0);
    uint32_t ratio = st_float_divide(x->scale, y->scale);
    if (alpha != 0 && !st_scale_is_valid(alpha)) {
        return st_op_refuse_option(plan);
    }
    if (!st_scale_is_valid(ratio)) {
        return st_op_refuse_type(plan, y);
    }
    st_status_t status = st_op_multiplier(plan, y, st_real_from_scale(ratio), one, MAX_SHIFT, &function->scale);
    uint32_t product = alpha ? st_float_multiply(x->scale, alpha) : 0;
    ratio = product ? st_float_divide(product, y->scale) : 0;
    function->negative_scale.multiplier = 0;
    function->negative_scale.shift = 0;
    if (status == 0 && ratio) {
        status = st_op_multiplier(plan, y, st_real_from_scale(ratio), one, MAX_SHIFT, &function->negative_scale);
    }
    return status;
}

static st_status_t load_linear(st_plan_t *plan, function_t *function, const st_tensor_t *x, const st_tensor_t *y) {
    st_status_t status = st_op_multiplier(plan, y, st_real_from_scale(x->scale), st_real_from_scale(y->scale),
                                          MAX_SHIFT, &function->scale);
    function->negative_scale = function->scale;
    if (plan->code == ST_OP_RELU || plan->code == ST_OP_RELU6) {
        function->y_low = y->zero_point;
    }
    if (plan->code == ST_OP_RELU6) {
        function->y_high = ST_MIN(INT8_MAX, y->zero_point + st_float_quotient(ST_FLOAT_SIX, y->scale));
        if (!st_tensor_same_scale(x, y)) { /* TensorFlow Lite Micro does not rescale here */
            status = st_op_refuse_type(plan, y);
        }
    }
    return status;
}

static st_status_t load_function(st_plan_t *plan, function_t *function, const st_tensor_t *x, const st_tensor_t *y) {
    function->code = plan->code;
    function->x_zero = x->zero_point;
    function->y_zero = y->zero_point;
    function->y_low = INT8_MIN;
    function->y_high = INT8_MAX;
    switch (plan->code) {
        case ST_OP_LOGISTIC:
        case ST_OP_TANH:
            return load_sigmoid(plan, function, x, y);
        case ST_OP_LEAKY_RELU:
            return load_leaky(plan, function, x, y);
        default:
            return load_linear(plan, function, x, y);
    }
}

static void write_table(st_plan_t *plan, uint32_t at, const function_t *function) {
    for (int32_t byte = 0; plan->state && byte < TABLE_BYTES; byte++) {
        int8_t value = value_of(function, (byte ^ 0x80) - 0x80 - function->x_zero);
        st_plan_write(plan, at + (uint32_t)byte, &value, 1);
    }
}

st_status_t st_op_prepare_lookup(st_plan_t *plan) {
    record_lookup_t record = {{ST_OP_LOOKUP, 0}, 0, 0, 0, 0};
    function_t function;
    st_tensor_t x, y;
    uint32_t at = 0;
    st_status_t status = plan->code == ST_OP_LEAKY_RELU ? st_op_options(plan, OPTIONS_LEAKY_RELU) : 0;
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(record), &at);
    }
    if (status == 0) {
        status = st_op_unary(plan, &x, &record.x, &y, &record.y);
    }
    if (status == 0) {
        status = load_function(plan, &function, &x, &y);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, TABLE_BYTES, &record.table);
    }
    if (status == 0) {
        write_table(plan, record.table, &function);
        record.count = y.elements;
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

void st_op_invoke_lookup(const st_memory_t *memory, const st_record_t *record) {
    const record_lookup_t *op = (const record_lookup_t *)record;
    const uint8_t *x = st_read_at(memory, op->x);
    const uint8_t *table = memory->state + op->table;
    uint8_t *y = st_write_at(memory, op->y);
    for (uint32_t i = 0; i < op->count; i++) {
        y[i] = table[x[i]];
    }
}
