#include "st_op.h"

#include "st_fixed.h"
#include "st_float.h"

#define ACTIVATION_NONE (0)
#define ACTIVATION_RELU (1)
#define ACTIVATION_RELU_N1_TO_1 (2)
#define ACTIVATION_RELU6 (3)
#define MAX_STEP (1024) /* strides, dilations and kernel sizes */

#define OPTIONS_CONV (1)
#define OPTIONS_FULLY_CONNECTED (8)
#define OPTIONS_LSTM (71)

/* The stock operator that has options of a type; 0: none of those that may be packed. */
static int32_t packable(int32_t options_type) {
    switch (options_type) {
        case OPTIONS_CONV:
            return ST_OP_CONV_2D;
        case OPTIONS_FULLY_CONNECTED:
            return ST_OP_FULLY_CONNECTED;
        case OPTIONS_LSTM:
            return ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM;
        default:
            return 0;
    }
}

/* Our operator with packed weights goes by the stock operator whose options it has. */
static void unpack_code(st_plan_t *plan) {
    st_vector_t name = plan->custom_code;
    if (plan->code != ST_OP_CUSTOM || name.count != sizeof(ST_ZERO_SKIP_OPERATOR) - 1 ||
        memcmp(plan->fb.data + name.at, ST_ZERO_SKIP_OPERATOR, name.count) != 0) {
        return;
    }
    int32_t stock = packable(plan->options_type);
    if (stock) {
        plan->packed = 1;
        plan->code = stock;
    }
}

st_status_t st_op_prepare(st_plan_t *plan) {
    unpack_code(plan);
    switch (plan->code) {
        case ST_OP_ADD:
        case ST_OP_MUL:
            return st_op_prepare_elementwise(plan);
        case ST_OP_CONCATENATION:
            return st_op_prepare_concatenation(plan);
        case ST_OP_CONV_2D:
        case ST_OP_DEPTHWISE_CONV_2D:
            return st_op_prepare_conv(plan);
        case ST_OP_FULLY_CONNECTED:
            return st_op_prepare_fully_connected(plan);
        case ST_OP_RESHAPE:
        case ST_OP_SQUEEZE:
        case ST_OP_EXPAND_DIMS:
            return st_op_prepare_reshape(plan);
        case ST_OP_GATHER:
            return st_op_prepare_gather(plan);
        case ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM:
            return st_op_prepare_lstm(plan);
        case ST_OP_STRIDED_SLICE:
            return st_op_prepare_strided_slice(plan);
        case ST_OP_AVERAGE_POOL_2D:
        case ST_OP_MAX_POOL_2D:
            return st_op_prepare_pool(plan);
        case ST_OP_MEAN:
            return st_op_prepare_mean(plan);
        case ST_OP_SOFTMAX:
            return st_op_prepare_softmax(plan);
        case ST_OP_LOGISTIC:
        case ST_OP_TANH:
        case ST_OP_RELU:
        case ST_OP_RELU6:
        case ST_OP_LEAKY_RELU:
            return st_op_prepare_lookup(plan);
        case ST_OP_QUANTIZE:
            return st_op_prepare_quantize(plan);
        case ST_OP_DEQUANTIZE:
            return st_op_prepare_dequantize(plan);
        case ST_OP_PAD:
        case ST_OP_PADV2:
            return st_op_prepare_pad(plan);
        case ST_OP_SVDF:
            return st_op_prepare_svdf(plan);
        default:
            return st_plan_refuse(plan, ST_ERROR_MODEL_OP, plan->code);
    }
}

ST_HOT st_status_t st_op_invoke(const st_memory_t *memory, const st_record_t *record) {
    switch (record->kind) {
        case ST_OP_ADD:
        case ST_OP_MUL:
            st_op_invoke_elementwise(memory, record);
            return 0;
        case ST_OP_CONCATENATION:
            st_op_invoke_concatenation(memory, record);
            return 0;
        case ST_OP_CONV_2D:
        case ST_OP_CONV_2D_INT4:
        case ST_OP_ZERO_SKIP_INT8:
        case ST_OP_ZERO_SKIP_INT4:
        case ST_OP_DEPTHWISE_CONV_2D:
            st_op_invoke_conv(memory, record);
            return 0;
        case ST_OP_RESHAPE:
            st_op_invoke_reshape(memory, record);
            return 0;
        case ST_OP_GATHER:
            return st_op_invoke_gather(memory, record);
        case ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM:
        case ST_OP_ZERO_SKIP_LSTM:
            st_op_invoke_lstm(memory, record);
            return 0;
        case ST_OP_STRIDED_SLICE:
            st_op_invoke_strided_slice(memory, record);
            return 0;
        case ST_OP_AVERAGE_POOL_2D:
        case ST_OP_MAX_POOL_2D:
            st_op_invoke_pool(memory, record);
            return 0;
        case ST_OP_MEAN:
            st_op_invoke_mean(memory, record);
            return 0;
        case ST_OP_SOFTMAX:
            st_op_invoke_softmax(memory, record);
            return 0;
        case ST_OP_LOOKUP:
            st_op_invoke_lookup(memory, record);
            return 0;
        case ST_OP_QUANTIZE:
            st_op_invoke_quantize(memory, record);
            return 0;
        case ST_OP_DEQUANTIZE:
            st_op_invoke_dequantize(memory, record);
            return 0;
        case ST_OP_PAD:
            st_op_invoke_pad(memory, record);
            return 0;
        case ST_OP_SVDF:
            st_op_invoke_svdf(memory, record);
            return 0;
        default:
            return -ST_ERROR_STATE;
    }
}

void st_op_reset(const st_memory_t *memory, const st_record_t *record) {
    if (record->kind == ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM || record->kind == ST_OP_ZERO_SKIP_LSTM) {
        st_op_reset_lstm(memory, record);
    } else if (record->kind == ST_OP_SVDF) {
        st_op_reset_svdf(memory, record);
    }
}

st_status_t st_op_open(st_plan_t *plan, int32_t options_type, uint32_t bytes, uint32_t *at) {
    st_status_t status = st_op_options(plan, options_type);
    return status < 0 ? status : st_plan_reserve(plan, bytes, at);
}

st_status_t st_op_close(st_plan_t *plan, st_status_t status, uint32_t at, st_record_t *record, uint32_t bytes) {
    if (status == 0) {
        record->next = ST_ALIGN8(plan->used);
        st_plan_write(plan, at, record, bytes);
    }
    return status;
}

st_status_t st_op_refuse_type(st_plan_t *plan, const st_tensor_t *tensor) {
    return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index);
}

st_status_t st_op_refuse_option(st_plan_t *plan) {
    return st_plan_refuse(plan, ST_ERROR_MODEL_OP, plan->code);
}

st_status_t st_op_options(st_plan_t *plan, int32_t type) {
    return plan->options && plan->options_type == type ? 0 : st_op_refuse_option(plan);
}

/* Limits of an int8 output with a fused activation. */
st_status_t st_op_activation(st_plan_t *plan, uint32_t field, const st_tensor_t *y, int32_t *y_low, int32_t *y_high) {
    int32_t activation = st_fb_get_i8(&plan->fb, plan->options, field, ACTIVATION_NONE);
    *y_low = INT8_MIN;
    *y_high = INT8_MAX;
    switch (activation) {
        case ACTIVATION_NONE:
            return 0;
        case ACTIVATION_RELU:
            *y_low = y->zero_point;
            return 0;
        case ACTIVATION_RELU6:
            *y_low = y->zero_point;
            *y_high = ST_MIN(INT8_MAX, y->zero_point + st_float_quotient(ST_FLOAT_SIX, y->scale));
            return 0;
        case ACTIVATION_RELU_N1_TO_1:
            *y_low = ST_MAX(INT8_MIN, y->zero_point - st_float_quotient(ST_FLOAT_ONE, y->scale));
            *y_high = ST_MIN(INT8_MAX, y->zero_point + st_float_quotient(ST_FLOAT_ONE, y->scale));
            return 0;
        default:
            return st_op_refuse_option(plan);
    }
}

st_status_t st_op_multiplier(st_plan_t *plan, const st_tensor_t *tensor, st_real_t numerator, st_real_t denominator,
                             int32_t max_shift, st_multiplier_t *multiplier) {
    *multiplier = st_quantize_ratio(numerator, denominator);
    return multiplier->shift <= max_shift ? 0 : st_op_refuse_type(plan, tensor);
}

/* Operand 0 and result 0: int8 activations of one shape. */
st_status_t st_op_unary(st_plan_t *plan, st_tensor_t *x, st_ref_t *x_ref, st_tensor_t *y, st_ref_t *y_ref) {
    st_status_t status = st_plan_operand(plan, 0, x, x_ref);
    if (status == 0) {
        status = st_plan_result(plan, y, y_ref);
    }
    if (status == 0 && !st_tensor_is_activation(x)) {
        status = st_op_refuse_type(plan, x);
    }
    if (status == 0 && (!st_tensor_is_activation(y) || !st_tensor_same_shape(x, y))) {
        status = st_op_refuse_type(plan, y);
    }
    return status;
}

/* A variable tensor that this operator alone uses; its memory is the operator's. So no other encoder could go on
 * with it: branches keep their states in inputs. */
st_status_t st_op_state(st_plan_t *plan, uint32_t k, int32_t type, uint32_t elements, st_tensor_t *tensor,
                        uint32_t *offset) {
    int32_t index = st_fb_i32_at(&plan->fb, plan->op_inputs, k);
    st_status_t status = st_tensor_load(&plan->fb, plan->source, index, tensor);
    if (status < 0) {
        return st_plan_refuse(plan, -status, index);
    }
    if (tensor->type != type || !tensor->variable || tensor->data || tensor->elements != elements ||
        tensor->scales.count != 1 || !st_scale_is_valid(tensor->scale) || st_plan_is_read_by_others(plan, index)) {
        return st_op_refuse_type(plan, tensor);
    }
    if (plan->is_branch) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_BRANCHES, index);
    }
    return st_plan_reserve(plan, tensor->bytes, offset);
}

/* Padding before, for one dimension; or -1 when the output's size is not what it must be. */
int32_t st_op_pad_before(int32_t x, int32_t y, int32_t kernel, int32_t stride, int32_t dilation, int same) {
    int32_t reach = (kernel - 1) * dilation + 1;
    int32_t expected = same ? (x - 1) / stride + 1 : (x >= reach ? (x - reach) / stride + 1 : 0);
    if (y != expected) {
        return -1;
    }
    int32_t missing = (y - 1) * stride + reach - x;
    return same && missing > 0 ? missing / 2 : 0;
}

/* Whether a stride, a dilation or a kernel's size is served. */
int st_op_is_step(int32_t value) {
    return value >= 1 && value <= MAX_STEP;
}
