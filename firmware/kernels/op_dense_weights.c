/* Weights, bias and multipliers of a convolution or a fully-connected layer. */
#include "st_zero_skip.h"

#define OPERAND_X (0)
#define OPERAND_WEIGHTS (1)
#define OPERAND_BIAS (2)
#define MAX_SHIFT (30)

st_status_t st_op_dense_operands(st_plan_t *plan, st_record_conv_t *record, st_tensor_t *x, st_tensor_t *weights,
                                 st_tensor_t *y) {
    st_status_t status = st_plan_operand(plan, OPERAND_X, x, &record->x);
    if (status == 0) {
        status = plan->packed ? st_plan_shape(plan, OPERAND_WEIGHTS, weights)
                              : st_plan_constant(plan, OPERAND_WEIGHTS, 0, weights);
    }
    if (status == 0) {
        status = st_plan_result(plan, y, &record->y);
    }
    if (status == 0 && !st_tensor_is_activation(x)) {
        status = st_op_refuse_type(plan, x);
    }
    return status;
}

/* Multiplier of channel k: x scale * weight scale / y scale. */
static st_status_t channel(st_plan_t *plan, const st_tensor_t *weights, uint32_t k, uint32_t x_scale,
                           uint32_t y_scale, st_multiplier_t *result) {
    uint32_t scale = (uint32_t)st_fb_i32_at(&plan->fb, weights->scales, k);
    if (scale == 0 && weights->scales.count > 1) { /* a channel whose weights are all zero */
        result->multiplier = 0;
        result->shift = 0;
        return 0;
    }
    if (!st_scale_is_valid(scale)) {
        return st_op_refuse_type(plan, weights);
    }
    st_real_t product = st_real_product(st_real_from_scale(x_scale), st_real_from_scale(scale));
    st_real_t y_real = st_real_from_scale(y_scale);
    if (!plan->state && st_ratio_most_shift(product, y_real) <= MAX_SHIFT) {
        return 0; /* while sizing nobody asks for it: half of all divisions */
    }
    return st_op_multiplier(plan, weights, product, y_real, MAX_SHIFT, result);
}

/* Whether the other encoder has a layer of equal scales: its multipliers are these. */
static int find_shared(const st_plan_t *plan, const st_plan_layer_t *wanted, st_channels_t *channels) {
    for (uint32_t i = 0; plan->is_second && i < plan->layer_count; i++) {
        const st_plan_layer_t *one = &plan->layers[i];
        if (one->scales == wanted->scales && one->x_scale == wanted->x_scale && one->y_scale == wanted->y_scale) {
            channels->multipliers = one->multipliers;
            return 1;
        }
    }
    return 0;
}

static void keep_shared(st_plan_t *plan, const st_plan_layer_t *made) {
    int is_kept = plan->is_branch && !plan->is_second && plan->code == ST_OP_DEPTHWISE_CONV_2D;
    if (is_kept && plan->layer_count < ST_PLAN_MAX_LAYERS) {
        plan->layers[plan->layer_count++] = *made;
    }
}

static st_status_t load_channels(st_plan_t *plan, const st_tensor_t *weights, st_channels_t *channels) {
    st_tensor_t x, y;
    st_multiplier_t result = {0, 0};
    uint32_t count = weights->scales.count;
    st_status_t status =
        st_tensor_load(&plan->fb, plan->source, st_fb_i32_at(&plan->fb, plan->op_inputs, OPERAND_X), &x);
    if (status == 0) {
        status = st_tensor_load(&plan->fb, plan->source, st_fb_i32_at(&plan->fb, plan->op_outputs, 0), &y);
    }
    if (status < 0) {
        return status;
    }
    st_plan_layer_t made = {weights->scales.at, x.scale, y.scale, 0};
    channels->step = count > 1;
    if (find_shared(plan, &made, channels)) {
        channels->shifts = ST_ALIGN8(channels->multipliers + 4 * count);
        return 0;
    }
    status = st_plan_reserve(plan, 4 * count, &channels->multipliers);
    if (status == 0) {
        status = st_plan_reserve(plan, count, &channels->shifts);
    }
    for (uint32_t k = 0; status == 0 && k < count; k++) {
        status = channel(plan, weights, k, x.scale, y.scale, &result);
        if (status == 0) {
            int8_t shift = (int8_t)result.shift;
            st_plan_write(plan, channels->multipliers + 4 * k, &result.multiplier, 4);
            st_plan_write(plan, channels->shifts + k, &shift, 1);
        }
    }
    made.multipliers = channels->multipliers;
    keep_shared(plan, &made);
    return status;
}

st_status_t st_op_dense_scratch(st_plan_t *plan, st_record_conv_t *record, uint32_t depth) {
    uint32_t bytes = plan->packed ? st_zero_skip_scratch_bytes((uint32_t)record->y_depth, depth) : 4 * depth;
    return st_plan_scratch(plan, bytes, &record->scratch);
}

/* FULLY_CONNECTED has int4 weights only when they are packed. */
static int is_served(const st_plan_t *plan, const st_record_conv_t *record, int32_t type) {
    if (plan->packed) {
        return type == ST_TENSOR_INT8 || type == ST_TENSOR_INT4;
    }
    return type == (record->head.kind == ST_OP_CONV_2D_INT4 ? ST_TENSOR_INT4 : ST_TENSOR_INT8);
}

st_status_t st_op_dense_weights(st_plan_t *plan, st_record_conv_t *record, const st_tensor_t *weights, int32_t axis) {
    st_tensor_t bias;
    uint32_t channels = (uint32_t)record->y_depth;
    uint32_t count = weights->scales.count;
    if (!is_served(plan, record, weights->type) || !weights->symmetric || (count != 1 && count != channels) ||
        (count > 1 && weights->axis != axis) || weights->elements / channels > ST_OP_MAX_DEPTH) {
        return st_op_refuse_type(plan, weights);
    }
    st_status_t status = st_plan_constant(plan, OPERAND_BIAS, 1, &bias);
    if (status < 0) {
        return status;
    }
    if (bias.data && (bias.type != ST_TENSOR_INT32 || bias.elements != channels)) {
        return st_op_refuse_type(plan, &bias);
    }
    record->weights = weights->data;
    record->bias = bias.data;
    if (plan->packed) {
        uint32_t bits = weights->type == ST_TENSOR_INT4 ? 4 : 8;
        status = st_zero_skip_prepare(plan, ST_ZERO_SKIP_PACKED_INPUT, channels, weights->elements / channels, bits,
                                      &record->weights);
        if (status < 0) {
            return status;
        }
        record->head.kind = bits == 4 ? ST_OP_ZERO_SKIP_INT4 : ST_OP_ZERO_SKIP_INT8;
    }
    return load_channels(plan, weights, &record->channels);
}
