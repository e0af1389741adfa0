/* The planner: turns a checked subgraph into operator records, multipliers and a memory map.
 *
 * It runs twice, with the same code: from st_model_size without a state (it only counts) and from
 * st_model_init with one (it writes). Everything it writes is 32-bit words and int8 shifts.
 *
 * State: head | subgraph records | per subgraph: slots, input and output tensors, records with
 * their multipliers | arena. The arena holds the activations of one subgraph at a time: blocks
 * are placed first-fit in operator order and freed after their last use. */
#ifndef ST_PLAN_H
#define ST_PLAN_H

#include "st_tensor.h"

#define ST_PLAN_MAGIC (0x4D535453u) /* "STSM" */
#define ST_PLAN_MAX_BLOCKS (32)
#define ST_PLAN_MAX_OPERATORS (512)
#define ST_PLAN_MAX_SLOTS (64)
#define ST_PLAN_MAX_FILE (1u << 28)

/* A reference to memory: offset, and the region it counts from in the top two bits. */
typedef uint32_t st_ref_t;
#define ST_REF_STATE (0u)
#define ST_REF_ARENA (1u << 30)
#define ST_REF_FILE (2u << 30)
#define ST_REF_REGION (3u << 30)

typedef struct {
    uint32_t magic;
    uint32_t state_bytes;
    uint32_t file_bytes;
    uint32_t crc_at; /* where the file has its checksum, and which: the state belongs to this file */
    uint32_t file_crc;
    uint32_t arena;
    uint32_t arena_bytes;
    uint32_t subgraph_count;
} st_plan_head_t;

typedef struct {
    uint32_t name; /* position in the file */
    uint32_t name_bytes;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t slots; /* inputs, then outputs */
    uint32_t first_record;
    uint32_t record_count;
    uint32_t reserved;
} st_plan_subgraph_t;

/* An input or output. Output k >= 1 lives where the recurrent input that it becomes lives. */
typedef struct {
    uint32_t offset; /* in the state */
    uint32_t bytes;
    uint32_t scale;
    int32_t zero_point;
    st_ref_t source; /* outputs: where the operator wrote it, when that is not offset */
    uint32_t type;
} st_plan_slot_t;

/* A subgraph's vectors in the file. */
typedef struct {
    st_vector_t name;
    st_vector_t tensors;
    st_vector_t inputs;
    st_vector_t outputs;
    st_vector_t operators;
} st_plan_view_t;

typedef struct {
    int32_t tensor;
    uint32_t offset;
    uint32_t bytes;
    int32_t last_use;
} st_plan_block_t;

/* A depthwise layer of the encoder that is planned first: one of the other encoder with equal scales takes its
 * multipliers. Few, since they lie on the stack: the layers of longer encoders have their own. */
#define ST_PLAN_MAX_LAYERS (9)

typedef struct {
    uint32_t scales; /* position of the weights' scales in the file */
    uint32_t x_scale;
    uint32_t y_scale;
    uint32_t multipliers; /* in the state; the shifts follow */
} st_plan_layer_t;

typedef struct {
    st_flatbuffer_t fb;
    uint8_t *state; /* NULL while sizing */
    uint32_t capacity;
    uint32_t used;
    uint32_t arena_bytes;
    int32_t *info;
    st_vector_t opcodes;
    /* two encoders that share their inputs and output: st_branch.h */
    int32_t branches;
    int32_t heavy;
    int32_t light;
    uint32_t shared; /* where the one planned first has them, 0: neither is planned */
    uint32_t layer_count;
    st_plan_layer_t layers[ST_PLAN_MAX_LAYERS];
    /* the current subgraph */
    int32_t is_branch;
    int32_t is_second; /* of the two encoders */
    st_tensor_source_t source;
    st_vector_t inputs;
    st_vector_t outputs;
    st_vector_t operators;
    uint32_t slots;
    uint32_t memory; /* of the inputs and, behind them, of output 0 */
    /* the current operator */
    int32_t index;
    int32_t code; /* of the stock operator, when the weights are packed */
    int32_t packed;
    st_vector_t custom_code;
    uint32_t options;
    int32_t options_type;
    st_vector_t op_inputs;
    st_vector_t op_outputs;
    /* live blocks of the arena */
    uint32_t block_count;
    st_plan_block_t blocks[ST_PLAN_MAX_BLOCKS];
} st_plan_t;

/* Look up a subgraph's vectors; what is wrong with them is left in fb. */
void st_plan_open(st_flatbuffer_t *fb, uint32_t table, st_plan_view_t *view);

/* Plan one subgraph, plan->is_branch set, and fill its record. */
st_status_t st_plan_subgraph(st_plan_t *plan, uint32_t table, st_plan_subgraph_t *record);

/* Tensor index of the current subgraph; what cannot be an activation or its like is refused. */
st_status_t st_plan_load(st_plan_t *plan, int32_t index, st_tensor_t *tensor);

/* For operators: refuse with an error, remembering a detail for the user. */
st_status_t st_plan_refuse(st_plan_t *plan, int32_t error, int32_t detail);

/* Operand k: its tensor and where it is. Constants may be read in place. */
st_status_t st_plan_operand(st_plan_t *plan, uint32_t k, st_tensor_t *tensor, st_ref_t *ref);

/* Operand k, which must be a constant. An absent one (index -1, or k beyond the last) is refused
 * unless optional: then tensor->data is 0. */
st_status_t st_plan_constant(st_plan_t *plan, uint32_t k, int optional, st_tensor_t *tensor);

/* Operand k, which has no data and is not an activation: its type, shape and scales count. */
st_status_t st_plan_shape(st_plan_t *plan, uint32_t k, st_tensor_t *tensor);

/* Result 0: its tensor and where to write it. Call it after the operands. */
st_status_t st_plan_result(st_plan_t *plan, st_tensor_t *tensor, st_ref_t *ref);

/* Memory for the duration of this operator, and for ever. */
st_status_t st_plan_scratch(st_plan_t *plan, uint32_t bytes, st_ref_t *ref);
st_status_t st_plan_reserve(st_plan_t *plan, uint32_t bytes, uint32_t *offset);

/* Write to reserved memory; does nothing while sizing. */
void st_plan_write(st_plan_t *plan, uint32_t offset, const void *data, uint32_t bytes);

/* Operators after the current one, or any, that read a tensor. */
int st_plan_is_read_by_others(st_plan_t *plan, int32_t tensor);

#endif
