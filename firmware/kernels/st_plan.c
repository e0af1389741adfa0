#include "st_plan.h"

#include "st_op.h"

/* Field numbers of the schema's tables SubGraph, Operator and OperatorCode. */
#define SUBGRAPH_TENSORS (0)
#define SUBGRAPH_INPUTS (1)
#define SUBGRAPH_OUTPUTS (2)
#define SUBGRAPH_OPERATORS (3)
#define SUBGRAPH_NAME (4)
#define OPERATOR_OPCODE_INDEX (0)
#define OPERATOR_INPUTS (1)
#define OPERATOR_OUTPUTS (2)
#define OPERATOR_OPTIONS_TYPE (3)
#define OPERATOR_OPTIONS (4)
#define OPCODE_DEPRECATED (0)
#define OPCODE_CUSTOM (1)
#define OPCODE_BUILTIN (3)

#define MAX_OPERANDS (64)
#define ALWAYS_LIVE (INT32_MAX)

st_status_t st_plan_refuse(st_plan_t *plan, int32_t error, int32_t detail) {
    plan->info[ST_INFO_INDEX_OPERATOR] = plan->index;
    plan->info[ST_INFO_INDEX_DETAIL] = detail;
    return -error;
}

static st_status_t refuse_damage(st_plan_t *plan) {
    return st_plan_refuse(plan, ST_ERROR_MODEL_TRUNCATED, (int32_t)plan->fb.damaged_at);
}

st_status_t st_plan_reserve(st_plan_t *plan, uint32_t bytes, uint32_t *offset) {
    uint32_t at = ST_ALIGN8(plan->used);
    if (bytes > ST_PLAN_MAX_FILE || at > ST_PLAN_MAX_FILE) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_MEMORY, (int32_t)bytes);
    }
    if (plan->state && at + bytes > plan->capacity) {
        return st_plan_refuse(plan, ST_ERROR_BUFFER_SMALL, (int32_t)(at + bytes));
    }
    *offset = at;
    plan->used = at + bytes;
    return 0;
}

void st_plan_write(st_plan_t *plan, uint32_t offset, const void *data, uint32_t bytes) {
    if (plan->state) {
        memcpy(plan->state + offset, data, bytes);
    }
}

/* --- who reads and writes a tensor ------------------------------------------------------ */

static int contains(st_plan_t *plan, st_vector_t vector, int32_t tensor) {
    for (uint32_t i = 0; i < vector.count; i++) {
        if (st_fb_i32_at(&plan->fb, vector, i) == tensor) {
            return 1;
        }
    }
    return 0;
}

static st_vector_t operands_of(st_plan_t *plan, int32_t index, uint32_t field) {
    return st_fb_get_vector(&plan->fb, st_fb_table_at(&plan->fb, plan->operators, (uint32_t)index), field, 4);
}

/* Index of the last operator that reads a tensor, -1 for none. */
static int32_t last_read(st_plan_t *plan, int32_t tensor) {
    for (int32_t index = (int32_t)plan->operators.count - 1; index >= 0; index--) {
        if (contains(plan, operands_of(plan, index, OPERATOR_INPUTS), tensor)) {
            return index;
        }
    }
    return -1;
}

/* Whether an operator before index writes a tensor. */
static int is_written_before(st_plan_t *plan, int32_t tensor, int32_t index) {
    for (int32_t i = 0; i < index; i++) {
        if (contains(plan, operands_of(plan, i, OPERATOR_OUTPUTS), tensor)) {
            return 1;
        }
    }
    return 0;
}

int st_plan_is_read_by_others(st_plan_t *plan, int32_t tensor) {
    for (int32_t index = 0; index < (int32_t)plan->operators.count; index++) {
        if (index != plan->index && contains(plan, operands_of(plan, index, OPERATOR_INPUTS), tensor)) {
            return 1;
        }
    }
    return 0;
}

/* --- where a tensor is ------------------------------------------------------------------ */

/* Position of a tensor in a subgraph's inputs or outputs, -1 for none. */
static int32_t position(st_plan_t *plan, st_vector_t vector, int32_t tensor) {
    for (uint32_t i = 0; i < vector.count; i++) {
        if (st_fb_i32_at(&plan->fb, vector, i) == tensor) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* The recurrent input that output k >= 1 becomes. */
static uint32_t recurrent_input(const st_plan_t *plan, uint32_t k) {
    return plan->inputs.count - plan->outputs.count + k;
}

/* State offset of input k; k = number of inputs: of output 0, which follows them. */
static st_status_t slot_memory(st_plan_t *plan, uint32_t k, uint32_t *offset) {
    st_tensor_t tensor;
    uint32_t at = plan->memory;
    for (uint32_t i = 0; i < k; i++) {
        st_status_t status =
            st_tensor_load_shape(&plan->fb, plan->source, st_fb_i32_at(&plan->fb, plan->inputs, i), &tensor);
        if (status < 0) {
            return status;
        }
        at += ST_ALIGN8(tensor.bytes);
    }
    *offset = at;
    return 0;
}

static st_plan_block_t *find_block(st_plan_t *plan, int32_t tensor) {
    for (uint32_t i = 0; i < plan->block_count; i++) {
        if (plan->blocks[i].tensor == tensor) {
            return &plan->blocks[i];
        }
    }
    return NULL;
}

/* First-fit: the lowest offset at which no live block is in the way. */
static st_status_t place_block(st_plan_t *plan, int32_t tensor, uint32_t bytes, int32_t last_use, st_ref_t *ref) {
    uint32_t offset = 0;
    uint32_t i = 0;
    bytes = ST_ALIGN8(bytes);
    while (i < plan->block_count) {
        const st_plan_block_t *block = &plan->blocks[i];
        if (offset < block->offset + block->bytes && block->offset < offset + bytes) {
            offset = block->offset + block->bytes;
            i = 0;
        } else {
            i++;
        }
    }
    if (plan->block_count == ST_PLAN_MAX_BLOCKS || offset + bytes > ST_PLAN_MAX_FILE) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_MEMORY, tensor);
    }
    st_plan_block_t placed = {tensor, offset, bytes, last_use};
    plan->blocks[plan->block_count++] = placed;
    plan->arena_bytes = ST_MAX(plan->arena_bytes, offset + bytes);
    *ref = ST_REF_ARENA | offset;
    return 0;
}

static void free_blocks(st_plan_t *plan) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < plan->block_count; i++) {
        if (plan->blocks[i].last_use > plan->index) {
            plan->blocks[kept++] = plan->blocks[i];
        }
    }
    plan->block_count = kept;
}

st_status_t st_plan_scratch(st_plan_t *plan, uint32_t bytes, st_ref_t *ref) {
    return place_block(plan, -1, bytes, plan->index, ref);
}

/* A tensor of any type. */
static st_status_t load_any(st_plan_t *plan, int32_t index, st_tensor_t *tensor) {
    st_status_t status = st_tensor_load(&plan->fb, plan->source, index, tensor);
    if (plan->fb.damaged) {
        return refuse_damage(plan);
    }
    return status < 0 ? st_plan_refuse(plan, -status, index) : 0;
}

/* Elements of half a byte are weights: refuse them anywhere else. */
static st_status_t refuse_int4(st_plan_t *plan, st_status_t status, const st_tensor_t *tensor) {
    return status == 0 && tensor->type == ST_TENSOR_INT4
               ? st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index)
               : status;
}

/* A tensor that may be an activation. */
st_status_t st_plan_load(st_plan_t *plan, int32_t index, st_tensor_t *tensor) {
    return refuse_int4(plan, load_any(plan, index, tensor), tensor);
}

static st_status_t load_operand(st_plan_t *plan, uint32_t k, st_tensor_t *tensor) {
    if (k >= plan->op_inputs.count) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, plan->code);
    }
    return load_any(plan, st_fb_i32_at(&plan->fb, plan->op_inputs, k), tensor);
}

st_status_t st_plan_operand(st_plan_t *plan, uint32_t k, st_tensor_t *tensor, st_ref_t *ref) {
    st_status_t status = refuse_int4(plan, load_operand(plan, k, tensor), tensor);
    if (status < 0) {
        return status;
    }
    if (tensor->data) {
        *ref = ST_REF_FILE | tensor->data;
        return 0;
    }
    const st_plan_block_t *block = find_block(plan, tensor->index);
    if (block) {
        *ref = ST_REF_ARENA | block->offset;
        return 0;
    }
    int32_t input = position(plan, plan->inputs, tensor->index);
    if (input < 0 && is_written_before(plan, tensor->index, plan->index)) {
        int32_t output = position(plan, plan->outputs, tensor->index);
        if (output >= 0) {
            input = (int32_t)(output ? recurrent_input(plan, (uint32_t)output) : plan->inputs.count);
        }
    }
    return input >= 0 ? slot_memory(plan, (uint32_t)input, ref)
                      : st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index);
}

st_status_t st_plan_constant(st_plan_t *plan, uint32_t k, int optional, st_tensor_t *tensor) {
    tensor->data = 0;
    if (optional && (k >= plan->op_inputs.count || st_fb_i32_at(&plan->fb, plan->op_inputs, k) == -1)) {
        return 0;
    }
    st_status_t status = load_operand(plan, k, tensor);
    if (status < 0) {
        return status;
    }
    return tensor->data ? 0 : st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index);
}

st_status_t st_plan_shape(st_plan_t *plan, uint32_t k, st_tensor_t *tensor) {
    st_status_t status = load_operand(plan, k, tensor);
    return status == 0 && tensor->data ? st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index) : status;
}

/* Whether output k >= 1 may be written over the input that it becomes: nobody reads that any more. */
static int is_in_place(st_plan_t *plan, uint32_t k) {
    return last_read(plan, st_fb_i32_at(&plan->fb, plan->inputs, recurrent_input(plan, k))) < plan->index;
}

st_status_t st_plan_result(st_plan_t *plan, st_tensor_t *tensor, st_ref_t *ref) {
    if (plan->op_outputs.count != 1) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, plan->code);
    }
    st_status_t status = st_plan_load(plan, st_fb_i32_at(&plan->fb, plan->op_outputs, 0), tensor);
    if (status < 0) {
        return status;
    }
    /* Written once: else an operator could read the memory that it writes. */
    if (tensor->data || tensor->variable || is_written_before(plan, tensor->index, plan->index) ||
        position(plan, plan->inputs, tensor->index) >= 0) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor->index);
    }
    int32_t output = position(plan, plan->outputs, tensor->index);
    if (output == 0) {
        return slot_memory(plan, plan->inputs.count, ref);
    }
    if (output > 0 && is_in_place(plan, (uint32_t)output)) {
        return slot_memory(plan, recurrent_input(plan, (uint32_t)output), ref);
    }
    int32_t last_use = output > 0 ? ALWAYS_LIVE : ST_MAX(last_read(plan, tensor->index), plan->index);
    return place_block(plan, tensor->index, tensor->bytes, last_use, ref);
}

/* --- the subgraph ----------------------------------------------------------------------- */

static st_status_t plan_operator(st_plan_t *plan) {
    uint32_t table = st_fb_table_at(&plan->fb, plan->operators, (uint32_t)plan->index);
    uint32_t opcode_index = (uint32_t)st_fb_get_i32(&plan->fb, table, OPERATOR_OPCODE_INDEX, 0);
    uint32_t opcode = st_fb_table_at(&plan->fb, plan->opcodes, opcode_index);
    int32_t deprecated = st_fb_get_i8(&plan->fb, opcode, OPCODE_DEPRECATED, 0);
    plan->code = ST_MAX(deprecated, st_fb_get_i32(&plan->fb, opcode, OPCODE_BUILTIN, 0));
    plan->packed = 0;
    plan->custom_code = st_fb_get_vector(&plan->fb, opcode, OPCODE_CUSTOM, 1);
    plan->options_type = (uint8_t)st_fb_get_i8(&plan->fb, table, OPERATOR_OPTIONS_TYPE, 0);
    plan->options = st_fb_get_table(&plan->fb, table, OPERATOR_OPTIONS);
    plan->op_inputs = st_fb_get_vector(&plan->fb, table, OPERATOR_INPUTS, 4);
    plan->op_outputs = st_fb_get_vector(&plan->fb, table, OPERATOR_OUTPUTS, 4);
    if (plan->fb.damaged) {
        return refuse_damage(plan);
    }
    st_status_t status = st_op_prepare(plan);
    if (plan->fb.damaged) {
        return refuse_damage(plan);
    }
    free_blocks(plan);
    return status;
}

/* An operator's operand lists must be short before anything searches them. */
static st_status_t check_operators(st_plan_t *plan) {
    if (plan->operators.count > ST_PLAN_MAX_OPERATORS) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_MEMORY, (int32_t)plan->operators.count);
    }
    for (plan->index = 0; plan->index < (int32_t)plan->operators.count; plan->index++) {
        st_vector_t inputs = operands_of(plan, plan->index, OPERATOR_INPUTS);
        st_vector_t outputs = operands_of(plan, plan->index, OPERATOR_OUTPUTS);
        if (plan->fb.damaged) {
            return refuse_damage(plan);
        }
        if (inputs.count > MAX_OPERANDS || outputs.count > MAX_OPERANDS) {
            return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, (int32_t)ST_MAX(inputs.count, outputs.count));
        }
    }
    plan->index = -1;
    return 0;
}

/* Inputs and outputs: few, distinct, and produced by operators. */
static st_status_t check_slots(st_plan_t *plan) {
    if (plan->inputs.count > ST_PLAN_MAX_SLOTS || plan->outputs.count > ST_PLAN_MAX_SLOTS ||
        plan->outputs.count == 0 || plan->outputs.count > plan->inputs.count + 1) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, (int32_t)plan->outputs.count);
    }
    for (uint32_t i = 0; i < plan->inputs.count; i++) {
        int32_t tensor = st_fb_i32_at(&plan->fb, plan->inputs, i);
        if (position(plan, plan->inputs, tensor) != (int32_t)i) {
            return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor);
        }
    }
    for (uint32_t i = 0; i < plan->outputs.count; i++) {
        int32_t tensor = st_fb_i32_at(&plan->fb, plan->outputs, i);
        if (position(plan, plan->outputs, tensor) != (int32_t)i || position(plan, plan->inputs, tensor) >= 0 ||
            !is_written_before(plan, tensor, (int32_t)plan->operators.count)) {
            return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, tensor);
        }
    }
    return 0;
}

static void write_slot(st_plan_t *plan, uint32_t number, const st_tensor_t *tensor, uint32_t offset, st_ref_t source) {
    st_plan_slot_t slot = {offset, tensor->bytes, tensor->scale, tensor->zero_point, source, (uint32_t)tensor->type};
    st_plan_write(plan, plan->slots + number * (uint32_t)sizeof(slot), &slot, sizeof(slot));
}

/* Memory for every input and for output 0; that of the other encoder, for the second of two branches. */
static st_status_t reserve_slots(st_plan_t *plan) {
    st_tensor_t tensor;
    uint32_t offset;
    uint32_t count = plan->inputs.count;
    st_status_t status =
        st_plan_reserve(plan, (count + plan->outputs.count) * (uint32_t)sizeof(st_plan_slot_t), &plan->slots);
    plan->is_second = plan->is_branch && plan->shared;
    plan->memory = plan->is_second ? plan->shared : ST_ALIGN8(plan->used);
    for (uint32_t i = 0; status == 0 && i <= count; i++) {
        int32_t index = i < count ? st_fb_i32_at(&plan->fb, plan->inputs, i) : st_fb_i32_at(&plan->fb, plan->outputs, 0);
        status = st_plan_load(plan, index, &tensor);
        if (status == 0 && (tensor.data || tensor.variable)) {
            status = st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, index);
        }
        if (status == 0) {
            status = plan->is_second ? slot_memory(plan, i, &offset) : st_plan_reserve(plan, tensor.bytes, &offset);
        }
        if (status == 0) {
            write_slot(plan, i, &tensor, offset, offset);
        }
    }
    if (plan->is_branch) {
        plan->shared = plan->memory;
    }
    return status;
}

/* The recurrent outputs take the memory of their inputs, and must be like them. */
static st_status_t finish_slots(st_plan_t *plan) {
    st_tensor_t output;
    st_tensor_t input;
    for (uint32_t k = 1; k < plan->outputs.count; k++) {
        uint32_t offset;
        uint32_t number = recurrent_input(plan, k);
        st_status_t status = st_plan_load(plan, st_fb_i32_at(&plan->fb, plan->outputs, k), &output);
        if (status == 0) {
            status = st_plan_load(plan, st_fb_i32_at(&plan->fb, plan->inputs, number), &input);
        }
        if (status == 0) {
            status = slot_memory(plan, number, &offset);
        }
        if (status < 0) {
            return status;
        }
        if (output.type != input.type || !st_tensor_same_shape(&output, &input) ||
            !st_tensor_same_scale(&output, &input)) {
            return st_plan_refuse(plan, ST_ERROR_MODEL_TYPE, output.index);
        }
        const st_plan_block_t *block = find_block(plan, output.index);
        write_slot(plan, plan->inputs.count + k, &output, offset, block ? ST_REF_ARENA | block->offset : offset);
    }
    return 0;
}

void st_plan_open(st_flatbuffer_t *fb, uint32_t table, st_plan_view_t *view) {
    view->name = st_fb_get_vector(fb, table, SUBGRAPH_NAME, 1);
    view->tensors = st_fb_get_vector(fb, table, SUBGRAPH_TENSORS, 4);
    view->inputs = st_fb_get_vector(fb, table, SUBGRAPH_INPUTS, 4);
    view->outputs = st_fb_get_vector(fb, table, SUBGRAPH_OUTPUTS, 4);
    view->operators = st_fb_get_vector(fb, table, SUBGRAPH_OPERATORS, 4);
}

static void open_subgraph(st_plan_t *plan, uint32_t table, st_plan_subgraph_t *record) {
    st_plan_view_t view;
    st_plan_open(&plan->fb, table, &view);
    plan->source.tensors = view.tensors;
    plan->inputs = view.inputs;
    plan->outputs = view.outputs;
    plan->operators = view.operators;
    plan->block_count = 0;
    plan->index = -1;
    memset(record, 0, sizeof(*record));
    record->name = view.name.at;
    record->name_bytes = view.name.count;
    record->input_count = plan->inputs.count;
    record->output_count = plan->outputs.count;
    record->record_count = plan->operators.count;
}

st_status_t st_plan_subgraph(st_plan_t *plan, uint32_t table, st_plan_subgraph_t *record) {
    open_subgraph(plan, table, record);
    if (plan->fb.damaged) {
        return refuse_damage(plan);
    }
    st_status_t status = check_operators(plan);
    if (status == 0) {
        status = check_slots(plan);
    }
    if (status == 0) {
        status = reserve_slots(plan);
    }
    if (status < 0) {
        return status;
    }
    record->slots = plan->slots;
    record->first_record = ST_ALIGN8(plan->used);
    for (plan->index = 0; plan->index < (int32_t)plan->operators.count; plan->index++) {
        status = plan_operator(plan);
        if (status < 0) {
            return status;
        }
    }
    plan->index = -1;
    return finish_slots(plan);
}
