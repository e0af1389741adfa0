#include "st_model.h"

#include "st_branch.h"
#include "st_fetch.h"
#include "st_metadata.h"
#include "st_op.h"

#define IDENTIFIER "TFL3"
#define SCHEMA_VERSION (3)
#define MODEL_VERSION (0)
#define MODEL_OPERATOR_CODES (1)
#define MODEL_SUBGRAPHS (2)
#define MODEL_BUFFERS (4)

/* --- reading the file --------------------------------------------------------------------- */

static st_status_t refuse(int32_t *info, int32_t error, int32_t detail) {
    info[ST_INFO_INDEX_DETAIL] = detail;
    return -error;
}

/* Root table of the file; checks what comes before it. */
static st_status_t open_file(st_flatbuffer_t *fb, st_model_file_t file, int32_t *info, uint32_t *model) {
    for (int i = 0; i < ST_INFO_INDEX_COUNT; i++) {
        info[i] = -1;
    }
    st_fb_open(fb, file.data, file.bytes);
    if (file.bytes < 8) {
        return refuse(info, ST_ERROR_MODEL_TRUNCATED, (int32_t)file.bytes);
    }
    if (memcmp(file.data + 4, IDENTIFIER, 4) != 0) {
        return refuse(info, ST_ERROR_MODEL_MAGIC, (int32_t)st_read_u32(file.data + 4));
    }
    if (file.bytes > ST_PLAN_MAX_FILE) {
        return refuse(info, ST_ERROR_MODEL_MEMORY, (int32_t)file.bytes);
    }
    *model = st_fb_follow(fb, 0);
    int32_t version = st_fb_get_i32(fb, *model, MODEL_VERSION, 0);
    if (fb->damaged) {
        return refuse(info, ST_ERROR_MODEL_TRUNCATED, (int32_t)fb->damaged_at);
    }
    return version == SCHEMA_VERSION ? 0 : refuse(info, ST_ERROR_MODEL_VERSION, version);
}

static st_status_t check_metadata(st_flatbuffer_t *fb, st_vector_t metadata, int32_t *info) {
    int32_t detail = 0;
    if (fb->damaged) {
        return refuse(info, ST_ERROR_MODEL_TRUNCATED, (int32_t)fb->damaged_at);
    }
    st_status_t status = st_metadata_check(fb, metadata, &detail);
    return status < 0 ? refuse(info, -status, detail) : 0;
}

const uint8_t *st_model_metadata(st_model_file_t file, uint32_t *bytes) {
    st_flatbuffer_t fb;
    int32_t info[ST_INFO_INDEX_COUNT];
    uint32_t model;
    if (open_file(&fb, file, info, &model) < 0) {
        return NULL;
    }
    st_vector_t metadata = st_metadata_find(&fb, model);
    *bytes = metadata.count;
    return metadata.count >= ST_METADATA_BYTES && !fb.damaged ? file.data + metadata.at : NULL;
}

/* --- planning ------------------------------------------------------------------------------ */

static st_status_t plan_subgraphs(st_plan_t *plan, st_vector_t subgraphs) {
    st_plan_subgraph_t record;
    uint32_t records;
    st_status_t status = st_plan_reserve(plan, subgraphs.count * (uint32_t)sizeof(record), &records);
    for (uint32_t i = 0; status == 0 && i < subgraphs.count; i++) {
        uint32_t table = st_fb_table_at(&plan->fb, subgraphs, i);
        plan->info[ST_INFO_INDEX_SUBGRAPH] = (int32_t)i;
        plan->is_branch = plan->branches && ((int32_t)i == plan->heavy || (int32_t)i == plan->light);
        status = st_plan_subgraph(plan, table, &record);
        if (status == 0) {
            st_plan_write(plan, records + i * (uint32_t)sizeof(record), &record, sizeof(record));
        }
    }
    return status;
}

/* Head, subgraphs, arena. Returns the bytes of state. */
static st_status_t plan_model(st_plan_t *plan, uint32_t model, st_plan_head_t *head) {
    uint32_t at;
    uint32_t arena;
    st_vector_t subgraphs = st_fb_get_vector(&plan->fb, model, MODEL_SUBGRAPHS, 4);
    plan->opcodes = st_fb_get_vector(&plan->fb, model, MODEL_OPERATOR_CODES, 4);
    plan->source.buffers = st_fb_get_vector(&plan->fb, model, MODEL_BUFFERS, 4);
    if (plan->fb.damaged) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_TRUNCATED, (int32_t)plan->fb.damaged_at);
    }
    if (subgraphs.count == 0 || subgraphs.count > ST_MODEL_MAX_SUBGRAPHS) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_SUBGRAPH, (int32_t)subgraphs.count);
    }
    st_status_t status = st_branch_find(plan, subgraphs);
    if (status == 0) {
        status = st_plan_reserve(plan, sizeof(*head), &at);
    }
    if (status == 0) {
        status = plan_subgraphs(plan, subgraphs);
    }
    if (status == 0) {
        status = st_plan_reserve(plan, plan->arena_bytes, &arena);
    }
    if (status < 0) {
        return status;
    }
    head->state_bytes = ST_ALIGN8(plan->used);
    head->arena = arena;
    head->arena_bytes = plan->arena_bytes;
    head->subgraph_count = subgraphs.count;
    return (st_status_t)head->state_bytes;
}

static st_status_t plan_file(uint8_t *state, uint32_t state_bytes, st_model_file_t file, int32_t *info) {
    st_plan_t plan;
    st_plan_head_t head = {0};
    uint32_t model;
    memset(&plan, 0, sizeof(plan));
    st_status_t status = open_file(&plan.fb, file, info, &model);
    if (status < 0) {
        return status;
    }
    st_vector_t metadata = st_metadata_find(&plan.fb, model);
    if (state == NULL) {
        status = check_metadata(&plan.fb, metadata, info);
        if (status < 0) {
            return status;
        }
    }
    plan.state = state;
    plan.capacity = state_bytes;
    plan.info = info;
    plan.index = -1;
    status = plan_model(&plan, model, &head);
    if (status >= 0 && state) {
        head.magic = ST_PLAN_MAGIC;
        head.file_bytes = file.bytes;
        head.crc_at = metadata.count >= ST_METADATA_BYTES ? metadata.at + ST_METADATA_FILE_CRC_OFFSET : 0;
        head.file_crc = st_read_u32(file.data + head.crc_at);
        memcpy(state, &head, sizeof(head));
    }
    if (status >= 0) {
        info[ST_INFO_INDEX_SUBGRAPH] = -1;
    }
    return status;
}

st_status_t st_model_size(st_model_file_t file, int32_t *info) {
    return plan_file(NULL, 0, file, info);
}

st_status_t st_model_init(uint8_t *state, uint32_t state_bytes, st_model_file_t file, int32_t *info) {
    if (state_bytes < sizeof(st_plan_head_t)) {
        return -ST_ERROR_BUFFER_SMALL;
    }
    memset(state, 0, state_bytes);
#ifdef ST_FETCH
    st_fetch_t *fetch = st_fetch_open(file.data);
    if (fetch != NULL) {
        fetch->held = NULL; /* another file may have been there */
    }
#endif
    st_status_t status = plan_file(state, state_bytes, file, info);
    if (status < 0) {
        return status;
    }
    return st_model_reset(state, file);
}

/* --- using the plan ------------------------------------------------------------------------ */

static const st_plan_head_t *head_of(const uint8_t *state) {
    return (const st_plan_head_t *)(const void *)state;
}

static st_status_t check_state(const uint8_t *state, st_model_file_t file) {
    const st_plan_head_t *head = head_of(state);
    int is_ours = head->magic == ST_PLAN_MAGIC && head->file_bytes == file.bytes &&
                  st_read_u32(file.data + head->crc_at) == head->file_crc;
    return is_ours ? 0 : -ST_ERROR_STATE;
}

static const st_plan_subgraph_t *subgraph_of(const uint8_t *state, uint32_t subgraph) {
    return (const st_plan_subgraph_t *)(const void *)(state + sizeof(st_plan_head_t)) + subgraph;
}

static const st_plan_slot_t *slots_of(const uint8_t *state, const st_plan_subgraph_t *subgraph) {
    return (const st_plan_slot_t *)(const void *)(state + subgraph->slots);
}

static const st_record_t *record_at(const uint8_t *state, uint32_t offset) {
    return (const st_record_t *)(const void *)(state + offset);
}

static st_memory_t memory_of(uint8_t *state, st_model_file_t file) {
    st_memory_t memory = {state, state + head_of(state)->arena, file.data, 0};
    return memory;
}

static void reset_subgraph(uint8_t *state, const st_memory_t *memory, const st_plan_subgraph_t *subgraph) {
    const st_plan_slot_t *slots = slots_of(state, subgraph);
    uint32_t offset = subgraph->first_record;
    for (uint32_t i = subgraph->input_count - (subgraph->output_count - 1); i < subgraph->input_count; i++) {
        int value = slots[i].type == ST_TENSOR_INT8 ? slots[i].zero_point & 0xFF : 0;
        memset(state + slots[i].offset, value, slots[i].bytes);
    }
    for (uint32_t i = 0; i < subgraph->record_count; i++) {
        st_op_reset(memory, record_at(state, offset));
        offset = record_at(state, offset)->next;
    }
}

st_status_t st_model_reset(uint8_t *state, st_model_file_t file) {
    st_status_t status = check_state(state, file);
    if (status < 0) {
        return status;
    }
    st_memory_t memory = memory_of(state, file);
    for (uint32_t i = 0; i < head_of(state)->subgraph_count; i++) {
        reset_subgraph(state, &memory, subgraph_of(state, i));
    }
    return 0;
}

ST_HOT st_status_t st_model_subgraph(const uint8_t *state, st_model_file_t file, const char *name, uint32_t length) {
    st_status_t status = check_state(state, file);
    if (status < 0) {
        return status;
    }
    for (uint32_t i = 0; i < head_of(state)->subgraph_count; i++) {
        const st_plan_subgraph_t *subgraph = subgraph_of(state, i);
        if (subgraph->name_bytes == length && memcmp(file.data + subgraph->name, name, length) == 0) {
            return (st_status_t)i;
        }
    }
    return -ST_ERROR_MODEL_SUBGRAPH;
}

ST_HOT static st_status_t find_slot(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k,
                             const st_plan_slot_t **slot) {
    st_status_t status = check_state(state, file);
    if (status < 0) {
        return status;
    }
    if (subgraph < 0 || (uint32_t)subgraph >= head_of(state)->subgraph_count || output < 0 || output > 1 || k < 0) {
        return -ST_ERROR_ARGUMENT;
    }
    const st_plan_subgraph_t *record = subgraph_of(state, (uint32_t)subgraph);
    if ((uint32_t)k >= (output ? record->output_count : record->input_count)) {
        return -ST_ERROR_ARGUMENT;
    }
    *slot = slots_of(state, record) + (output ? record->input_count : 0) + k;
    return 0;
}

ST_HOT st_status_t st_model_tensor(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k) {
    const st_plan_slot_t *slot;
    st_status_t status = find_slot(state, file, subgraph, output, k, &slot);
    return status < 0 ? status : (st_status_t)slot->offset;
}

st_status_t st_model_tensor_bytes(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k) {
    const st_plan_slot_t *slot;
    st_status_t status = find_slot(state, file, subgraph, output, k, &slot);
    return status < 0 ? status : (st_status_t)slot->bytes;
}

st_status_t st_model_tensor_scale(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k,
                                  uint32_t *scale_bits, int32_t *zero_point) {
    const st_plan_slot_t *slot;
    st_status_t status = find_slot(state, file, subgraph, output, k, &slot);
    if (status == 0) {
        *scale_bits = slot->scale;
        *zero_point = slot->zero_point;
    }
    return status;
}

/* Recurrent outputs that could not be written in place become the inputs of the next time. */
static void carry_over(uint8_t *state, const st_memory_t *memory, const st_plan_subgraph_t *subgraph) {
    const st_plan_slot_t *outputs = slots_of(state, subgraph) + subgraph->input_count;
    for (uint32_t k = 1; k < subgraph->output_count; k++) {
        if (outputs[k].source != outputs[k].offset) {
            memcpy(state + outputs[k].offset, st_read_at(memory, outputs[k].source), outputs[k].bytes);
        }
    }
}

ST_HOT st_status_t st_model_invoke(uint8_t *state, st_model_file_t file, int subgraph) {
    st_status_t status = check_state(state, file);
    if (status < 0) {
        return status;
    }
    if (subgraph < 0 || (uint32_t)subgraph >= head_of(state)->subgraph_count) {
        return -ST_ERROR_ARGUMENT;
    }
    const st_plan_subgraph_t *plan = subgraph_of(state, (uint32_t)subgraph);
    st_memory_t memory = memory_of(state, file);
    uint32_t offset = plan->first_record;
    for (uint32_t i = 0; i < plan->record_count; i++) {
        const st_record_t *record = record_at(state, offset);
        memory.records_left = plan->record_count - 1 - i;
        status = st_op_invoke(&memory, record);
        if (status < 0) {
            return status;
        }
        offset = record->next;
    }
    carry_over(state, &memory, plan);
    return 0;
}
