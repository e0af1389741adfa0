/* Operators: prepare appends a record to the plan, invoke runs it.
 *
 * A record starts with its kind (the schema's BuiltinOperator, or what it becomes by its weights' type)
 * and the state offset of the next one. Its words are what invoke needs and nothing else: all checks are prepare's. */
#ifndef ST_OP_H
#define ST_OP_H

#include "st_plan.h"
#include "st_scale.h"

#define ST_OP_ADD (0)
#define ST_OP_AVERAGE_POOL_2D (1)
#define ST_OP_CONCATENATION (2)
#define ST_OP_CONV_2D (3)
#define ST_OP_DEPTHWISE_CONV_2D (4)
#define ST_OP_DEQUANTIZE (6)
#define ST_OP_FULLY_CONNECTED (9)
#define ST_OP_LOGISTIC (14)
#define ST_OP_MAX_POOL_2D (17)
#define ST_OP_MUL (18)
#define ST_OP_RELU (19)
#define ST_OP_RELU6 (21)
#define ST_OP_RESHAPE (22)
#define ST_OP_SOFTMAX (25)
#define ST_OP_SVDF (27)
#define ST_OP_TANH (28)
#define ST_OP_CUSTOM (32)
#define ST_OP_PAD (34)
#define ST_OP_GATHER (36)
#define ST_OP_MEAN (40)
#define ST_OP_SQUEEZE (43)
#define ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM (44)
#define ST_OP_STRIDED_SLICE (45)
#define ST_OP_PADV2 (60)
#define ST_OP_EXPAND_DIMS (70)
#define ST_OP_LEAKY_RELU (98)
#define ST_OP_QUANTIZE (114)

/* A record's kind only: CONV_2D with int4 weights, and with packed ones of 8 and 4 bits; the LSTM with packed ones. */
#define ST_OP_CONV_2D_INT4 ((1 << 16) | ST_OP_CONV_2D)
#define ST_OP_ZERO_SKIP_INT8 ((2 << 16) | ST_OP_CONV_2D)
#define ST_OP_ZERO_SKIP_INT4 ((3 << 16) | ST_OP_CONV_2D)
#define ST_OP_ZERO_SKIP_LSTM ((2 << 16) | ST_OP_UNIDIRECTIONAL_SEQUENCE_LSTM)

/* A record's kind only: any function of one int8, as a table. */
#define ST_OP_LOOKUP ((4 << 16) | ST_OP_LOGISTIC)

/* Longest dot product: 65536 * 255 * 128 fits int32. */
#define ST_OP_MAX_DEPTH (65536u)

typedef struct {
    int32_t kind;
    uint32_t next;
} st_record_t;

/* The memory that references of one invocation point into. */
typedef struct {
    uint8_t *state;
    uint8_t *arena;
    const uint8_t *file;
    uint32_t records_left; /* behind the one that runs */
} st_memory_t;

static inline const void *st_read_at(const st_memory_t *memory, st_ref_t ref) {
    uint32_t offset = ref & ~ST_REF_REGION;
    if ((ref & ST_REF_REGION) == ST_REF_FILE) {
        return memory->file + offset;
    }
    return ((ref & ST_REF_REGION) == ST_REF_ARENA ? memory->arena : memory->state) + offset;
}

static inline void *st_write_at(const st_memory_t *memory, st_ref_t ref) {
    return ((ref & ST_REF_REGION) == ST_REF_ARENA ? memory->arena : memory->state) + (ref & ~ST_REF_REGION);
}

/* Per-channel multipliers: int32 and int8 arrays in the state; step 0 when one serves all. */
typedef struct {
    uint32_t multipliers;
    uint32_t shifts;
    uint32_t step;
} st_channels_t;

/* CONV_2D, also with packed weights, DEPTHWISE_CONV_2D, and FULLY_CONNECTED as a 1x1 convolution. Heights and widths in
 * elements; weights and bias are positions in the file. */
typedef struct {
    st_record_t head;
    st_ref_t x;
    st_ref_t y;
    st_ref_t scratch; /* int32: a column of inputs, or the accumulators; st_zero_skip_scratch_bytes */
    uint32_t weights;
    uint32_t bias; /* 0 when absent */
    st_channels_t channels;
    int32_t batches;
    int32_t x_height, x_width, x_depth;
    int32_t kernel_height, kernel_width;
    int32_t y_height, y_width, y_depth;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_height, pad_width;
    int32_t x_zero, y_zero, y_low, y_high;
} st_record_conv_t;

st_status_t st_op_prepare(st_plan_t *plan);
st_status_t st_op_invoke(const st_memory_t *memory, const st_record_t *record);
void st_op_reset(const st_memory_t *memory, const st_record_t *record);

/* Where every operator's prepare begins and ends: room for the record of an operator with such options; the record
 * written there, unless something was refused on the way. */
st_status_t st_op_open(st_plan_t *plan, int32_t options_type, uint32_t bytes, uint32_t *at);
st_status_t st_op_close(st_plan_t *plan, st_status_t status, uint32_t at, st_record_t *record, uint32_t bytes);

/* Shared by the operators' prepare functions. */
st_status_t st_op_options(st_plan_t *plan, int32_t type);
st_status_t st_op_refuse_type(st_plan_t *plan, const st_tensor_t *tensor);
st_status_t st_op_refuse_option(st_plan_t *plan);
st_status_t st_op_activation(st_plan_t *plan, uint32_t field, const st_tensor_t *y, int32_t *y_low, int32_t *y_high);
st_status_t st_op_multiplier(st_plan_t *plan, const st_tensor_t *tensor, st_real_t numerator, st_real_t denominator,
                             int32_t max_shift, st_multiplier_t *multiplier);
st_status_t st_op_unary(st_plan_t *plan, st_tensor_t *x, st_ref_t *x_ref, st_tensor_t *y, st_ref_t *y_ref);
st_status_t st_op_state(st_plan_t *plan, uint32_t k, int32_t type, uint32_t elements, st_tensor_t *tensor,
                        uint32_t *offset);
int32_t st_op_pad_before(int32_t x, int32_t y, int32_t kernel, int32_t stride, int32_t dilation, int same);
int st_op_is_step(int32_t value);
st_status_t st_op_dense_operands(st_plan_t *plan, st_record_conv_t *record, st_tensor_t *x, st_tensor_t *weights,
                                 st_tensor_t *y);
st_status_t st_op_dense_scratch(st_plan_t *plan, st_record_conv_t *record, uint32_t depth);
st_status_t st_op_dense_weights(st_plan_t *plan, st_record_conv_t *record, const st_tensor_t *weights, int32_t axis);

/* One pair per operator. */
st_status_t st_op_prepare_elementwise(st_plan_t *plan);
st_status_t st_op_prepare_concatenation(st_plan_t *plan);
st_status_t st_op_prepare_conv(st_plan_t *plan);
st_status_t st_op_prepare_dequantize(st_plan_t *plan);
st_status_t st_op_prepare_fully_connected(st_plan_t *plan);
st_status_t st_op_prepare_gather(st_plan_t *plan);
st_status_t st_op_prepare_lookup(st_plan_t *plan);
st_status_t st_op_prepare_lstm(st_plan_t *plan);
st_status_t st_op_prepare_mean(st_plan_t *plan);
st_status_t st_op_prepare_pad(st_plan_t *plan);
st_status_t st_op_prepare_pool(st_plan_t *plan);
st_status_t st_op_prepare_quantize(st_plan_t *plan);
st_status_t st_op_prepare_reshape(st_plan_t *plan);
st_status_t st_op_prepare_softmax(st_plan_t *plan);
st_status_t st_op_prepare_strided_slice(st_plan_t *plan);
st_status_t st_op_prepare_svdf(st_plan_t *plan);

void st_op_invoke_elementwise(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_concatenation(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_conv(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_dequantize(const st_memory_t *memory, const st_record_t *record);
st_status_t st_op_invoke_gather(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_lookup(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_lstm(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_mean(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_pad(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_pool(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_quantize(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_reshape(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_softmax(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_strided_slice(const st_memory_t *memory, const st_record_t *record);
void st_op_invoke_svdf(const st_memory_t *memory, const st_record_t *record);

void st_op_reset_lstm(const st_memory_t *memory, const st_record_t *record);
void st_op_reset_svdf(const st_memory_t *memory, const st_record_t *record);

#endif
