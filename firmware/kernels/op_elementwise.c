/* ADD and MUL of two int8 tensors; either may be repeated along dimensions in which it has one element.
 *
 * Reference: st_add.h; tensorflow/lite/micro/kernels/mul_common.cc, reference/integer_ops/mul.h. */
#include "st_add.h"
#include "st_fixed.h"
#include "st_op.h"

#define OPTIONS_ADD (11)
#define OPTIONS_MUL (21)
#define FIELD_ACTIVATION (0)
#define MAX_SHIFT (30)

/* Loops from the innermost one; successive dimensions that both tensors run through alike are one loop. */
typedef struct {
    st_record_t head;
    st_ref_t a;
    st_ref_t b;
    st_ref_t y;
    int32_t a_zero, b_zero, y_zero, y_low, y_high;
    st_multiplier_t a_scale, b_scale; /* ADD's */
    st_multiplier_t y_scale;
    uint32_t count[ST_TENSOR_MAX_RANK];
    uint32_t a_step[ST_TENSOR_MAX_RANK];
    uint32_t b_step[ST_TENSOR_MAX_RANK];
} record_elementwise_t;

static st_status_t load_add_scales(st_plan_t *plan, record_elementwise_t *record, uint32_t a, uint32_t b,
                                   const st_tensor_t *y) {
    st_real_t twice_max = st_real_from_scale(ST_MAX(a, b)); /* positive floats order like their bits */
    st_real_t y_real = st_real_from_scale(y->scale);
    twice_max.exponent += 1;
    y_real.exponent += ST_ADD_LEFT_SHIFT;
    record->a_scale = st_quantize_ratio(st_real_from_scale(a), twice_max);
    record->b_scale = st_quantize_ratio(st_real_from_scale(b), twice_max);
    return st_op_multiplier(plan, y, twice_max, y_real, 0, &record->y_scale);
}

static st_status_t load_mul_scale(st_plan_t *plan, record_elementwise_t *record, uint32_t a, uint32_t b,
                                  const st_tensor_t *y) {
    st_real_t product = st_real_product(st_real_from_scale(a), st_real_from_scale(b));
    return st_op_multiplier(plan, y, product, st_real_from_scale(y->scale), MAX_SHIFT, &record->y_scale);
}

/* Returns 0 when a and b do not broadcast to y. */
static int load_loops(record_elementwise_t *record, const st_tensor_t *a, const st_tensor_t *b, const st_tensor_t *y) {
    uint32_t a_pitch = 1;
    uint32_t b_pitch = 1;
    int32_t loop = -1;
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        record->count[d] = 1;
    }
    for (int32_t d = 0; d < ST_TENSOR_MAX_RANK; d++) {
        int32_t a_dim = st_tensor_dim(a, d);
        int32_t b_dim = st_tensor_dim(b, d);
        int32_t dim = ST_MAX(a_dim, b_dim);
        if ((a_dim != dim && a_dim != 1) || (b_dim != dim && b_dim != 1) || st_tensor_dim(y, d) != dim) {
            return 0;
        }
        if (dim > 1) {
            uint32_t a_step = a_dim > 1 ? a_pitch : 0;
            uint32_t b_step = b_dim > 1 ? b_pitch : 0;
            if (loop < 0 || a_step != record->a_step[loop] * record->count[loop] ||
                b_step != record->b_step[loop] * record->count[loop]) {
                loop++;
                record->a_step[loop] = a_step;
                record->b_step[loop] = b_step;
            }
            record->count[loop] *= (uint32_t)dim;
        }
        a_pitch *= (uint32_t)a_dim;
        b_pitch *= (uint32_t)b_dim;
    }
    return 1;
}

static st_status_t prepare(st_plan_t *plan, record_elementwise_t *record) {
    st_tensor_t a, b, y;
    st_status_t status = st_plan_operand(plan, 0, &a, &record->a);
    if (status == 0) {
        status = st_plan_operand(plan, 1, &b, &record->b);
    }
    if (status == 0) {
        status = st_plan_result(plan, &y, &record->y);
    }
    if (status < 0) {
        return status;
    }
    if (!st_tensor_is_activation(&a)) {
        return st_op_refuse_type(plan, &a);
    }
    if (!st_tensor_is_activation(&b)) {
        return st_op_refuse_type(plan, &b);
    }
    if (!st_tensor_is_activation(&y) || !load_loops(record, &a, &b, &y)) {
        return st_op_refuse_type(plan, &y);
    }
    record->a_zero = a.zero_point;
    record->b_zero = b.zero_point;
    record->y_zero = y.zero_point;
    status = plan->code == ST_OP_ADD ? load_add_scales(plan, record, a.scale, b.scale, &y)
                                     : load_mul_scale(plan, record, a.scale, b.scale, &y);
    return status < 0 ? status : st_op_activation(plan, FIELD_ACTIVATION, &y, &record->y_low, &record->y_high);
}

st_status_t st_op_prepare_elementwise(st_plan_t *plan) {
    record_elementwise_t record = {0};
    uint32_t at = 0;
    record.head.kind = plan->code;
    st_status_t status = st_op_open(plan, plan->code == ST_OP_ADD ? OPTIONS_ADD : OPTIONS_MUL, sizeof(record), &at);
    if (status == 0) {
        status = prepare(plan, &record);
    }
    return st_op_close(plan, status, at, &record.head, sizeof(record));
}

ST_HOT static void mul_run(const record_elementwise_t *op, const int8_t *a, const int8_t *b, int8_t *y) {
    /* Copied: bytes that are written might be the record's, for all that C knows. */
    const int32_t a_zero = op->a_zero, b_zero = op->b_zero, y_zero = op->y_zero;
    const int32_t low = op->y_low - y_zero, high = op->y_high - y_zero;
    const st_multiplier_t scale = op->y_scale;
    const uint32_t a_step = op->a_step[0], b_step = op->b_step[0];
    for (const int8_t *end = y + op->count[0]; y != end; y++) {
        int32_t product = (*a - a_zero) * (*b - b_zero);
        int32_t value = st_multiply_by_quantized_multiplier(product, scale.multiplier, scale.shift);
        *y = (int8_t)(st_clamp(value, low, high) + y_zero);
        a += a_step;
        b += b_step;
    }
}

static st_add_t add_of(const record_elementwise_t *op) {
    st_add_t add = {0, 0, 0, op->y_low, op->y_high, op->a_zero, op->b_zero, op->y_zero, op->a_scale, op->b_scale,
                    op->y_scale, 0};
    st_add_prepare(&add);
    return add;
}

/* The innermost loop. add: NULL for MUL. */
static void run(const record_elementwise_t *op, const st_add_t *add, const int8_t *a, const int8_t *b, int8_t *y) {
    if (add == NULL) {
        mul_run(op, a, b, y);
    } else if (add->is_quick && op->a_step[0] == 1 && op->b_step[0] == 1) {
        st_add_run(add, a, b, y, op->count[0]);
    } else {
        st_add_naive(add, a, op->a_step[0], b, op->b_step[0], y, op->count[0]);
    }
}

ST_HOT void st_op_invoke_elementwise(const st_memory_t *memory, const st_record_t *record) {
    const record_elementwise_t *op = (const record_elementwise_t *)record;
    const int8_t *a = st_read_at(memory, op->a);
    const int8_t *b = st_read_at(memory, op->b);
    int8_t *y = st_write_at(memory, op->y);
    st_add_t sum;
    const st_add_t *add = NULL;
    if (op->head.kind == ST_OP_ADD) {
        sum = add_of(op);
        add = &sum;
    }
    for (uint32_t i = 0; i < op->count[3]; i++) {
        for (uint32_t j = 0; j < op->count[2]; j++) {
            for (uint32_t k = 0; k < op->count[1]; k++) {
                run(op, add, a + i * op->a_step[3] + j * op->a_step[2] + k * op->a_step[1],
                    b + i * op->b_step[3] + j * op->b_step[2] + k * op->b_step[1], y);
                y += op->count[0];
            }
        }
    }
}
