#include "st_op.h"

#define ACTIVATION_NONE (0)
#define ACTIVATION_RELU (1)

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
            return st_op_prepare_add(plan);
        case ST_OP_CONCATENATION:
            return st_op_prepare_concatenation(plan);
        case ST_OP_CONV_2D:
        case ST_OP_DEPTHWISE_CONV_2D:
            return st_op_prepare_conv(plan);
        case ST_OP_FULLY_CONNECTED:
            return st_op_prepare_fully_connected(plan);
        case ST_OP_RESHAPE:
            return st_op_prepare_reshape(plan);
        case ST_OP_GATHER:
            return st_op_prepare_gather(plan);
        case ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM:
            return st_op_prepare_lstm(plan);
        case ST_OP_STRIDED_SLICE:
            return st_op_prepare_strided_slice(plan);
        default:
            return st_plan_refuse(plan, ST_ERROR_MODEL_OP, plan->code);
    }
}

st_status_t st_op_invoke(const st_memory_t *memory, const st_record_t *record) {
    switch (record->kind) {
        case ST_OP_ADD:
            st_op_invoke_add(memory, record);
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
        default:
            return -ST_ERROR_STATE;
    }
}

void st_op_reset(const st_memory_t *memory, const st_record_t *record) {
    if (record->kind == ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM || record->kind == ST_OP_ZERO_SKIP_LSTM) {
        st_op_reset_lstm(memory, record);
    }
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

/* Lower limit of an int8 output with a fused activation; the upper one is 127. */
st_status_t st_op_activation(st_plan_t *plan, uint32_t field, int32_t y_zero, int32_t *y_low) {
    int32_t activation = st_fb_get_i8(&plan->fb, plan->options, field, 0);
    if (activation != ACTIVATION_NONE && activation != ACTIVATION_RELU) {
        return st_op_refuse_option(plan);
    }
    *y_low = activation == ACTIVATION_RELU ? y_zero : INT8_MIN;
    return 0;
}

st_status_t st_op_multiplier(st_plan_t *plan, const st_tensor_t *tensor, st_real_t numerator, st_real_t denominator,
                             int32_t max_shift, st_multiplier_t *multiplier) {
    if (!plan->state && st_ratio_most_shift(numerator, denominator) <= max_shift) {
        memset(multiplier, 0, sizeof(*multiplier)); /* while sizing nobody asks for it: half of all divisions */
        return 0;
    }
    *multiplier = st_quantize_ratio(numerator, denominator);
    return multiplier->shift <= max_shift ? 0 : st_op_refuse_type(plan, tensor);
}
