#include "st_lead.h"

#ifdef ST_FETCH

static inline uint32_t file_bytes(const st_memory_t *memory) {
    return ((const st_plan_head_t *)(const void *)memory->state)->file_bytes;
}

/* The weights of a depthwise layer are of use as a whole only; of packed ones, as many as there are room for. */
static inline st_lead_t lead_of(const st_memory_t *memory, const st_record_conv_t *op, uint32_t capacity) {
    uint32_t bytes = ST_MIN(capacity & ~3u, ST_LEAD_BYTES);
    st_lead_t lead = {memory->file + op->weights, 0};
    if (op->head.kind == ST_OP_DEPTHWISE_CONV_2D) {
        uint32_t all = (uint32_t)(op->kernel_height * op->kernel_width * op->y_depth);
        lead.bytes = all <= bytes ? all : 0;
    } else if (op->head.kind == ST_OP_ZERO_SKIP_INT8 || op->head.kind == ST_OP_ZERO_SKIP_INT4) {
        lead.bytes = ST_MIN(bytes, (file_bytes(memory) - op->weights) & ~3u);
    }
    return lead;
}

ST_HOT st_lead_t st_lead_find(const st_memory_t *memory, const st_record_t *record, uint32_t capacity) {
    st_lead_t none = {NULL, 0};
    for (uint32_t left = memory->records_left; left > 0; left--) {
        record = (const st_record_t *)(const void *)(memory->state + record->next);
        switch (record->kind) {
            case ST_OP_ADD:
            case ST_OP_MUL:
            case ST_OP_CONCATENATION:
            case ST_OP_STRIDED_SLICE:
            case ST_OP_RESHAPE:
            case ST_OP_LOOKUP:
            case ST_OP_QUANTIZE:
                break; /* has no weights */
            case ST_OP_DEPTHWISE_CONV_2D:
            case ST_OP_ZERO_SKIP_INT8:
            case ST_OP_ZERO_SKIP_INT4:
                return lead_of(memory, (const st_record_conv_t *)record, capacity);
            default:
                return none;
        }
    }
    return none;
}

#endif
