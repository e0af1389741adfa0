#include "st_graph.h"

#include "st_crc32.h"

#define MAX_STATES (65535u)
#define ARC_SHIFT (3)  /* log2 of ST_GRAPH_ARC_BYTES */
#define WORD_SHIFT (3) /* log2 of ST_WORD_BYTES */
#define FIELD(name) ST_GRAPH_##name##_OFFSET

/* Note where the file is wrong and pass the error through. */
static st_status_t wrong(int32_t *info, uint32_t offset, st_status_t error) {
    if (info != NULL) {
        memset(info, 0, ST_INFO_INDEX_COUNT * sizeof(int32_t));
        info[ST_INFO_INDEX_DETAIL] = (int32_t)offset;
    }
    return -error;
}

/* Is a table of count records of 2^shift bytes, at the offset that a header field names, inside the
 * file? */
static int table_fits(const st_graph_t *graph, uint32_t field, uint32_t header_bytes, uint32_t count, int shift) {
    uint32_t offset = st_read_u32(graph->data + field);
    return (offset & 3u) == 0 && offset >= header_bytes && offset <= graph->bytes &&
           count <= (graph->bytes - offset) >> shift;
}

static st_status_t check_header(const uint8_t *data, uint32_t bytes, int32_t *info) {
    if (bytes < ST_GRAPH_BYTES) {
        return wrong(info, bytes, ST_ERROR_GRAPH_TRUNCATED);
    }
    if (memcmp(data, ST_MAGIC_GRAPH, 4) != 0) {
        return wrong(info, 0, ST_ERROR_GRAPH_MAGIC);
    }
    if (st_read_u16(data + FIELD(VERSION)) != ST_VERSION_GRAPH) {
        return wrong(info, FIELD(VERSION), ST_ERROR_GRAPH_VERSION);
    }
    uint32_t file_bytes = st_read_u32(data + FIELD(FILE_BYTES));
    if (file_bytes > bytes || file_bytes < ST_GRAPH_BYTES) {
        return wrong(info, FIELD(FILE_BYTES), ST_ERROR_GRAPH_TRUNCATED);
    }
    uint32_t header_bytes = st_read_u16(data + FIELD(HEADER_BYTES));
    if (header_bytes < ST_GRAPH_BYTES || header_bytes > file_bytes) {
        return wrong(info, FIELD(HEADER_BYTES), ST_ERROR_GRAPH_TRUNCATED);
    }
    return 0;
}

static st_status_t check_tables(const st_graph_t *graph, int32_t *info) {
    uint32_t header = st_read_u16(graph->data + FIELD(HEADER_BYTES));
    if (graph->state_count > MAX_STATES) {
        return wrong(info, FIELD(STATE_COUNT), ST_ERROR_GRAPH_SIZE);
    }
    if (graph->state_count == 0 || graph->start_state >= graph->state_count) {
        return wrong(info, FIELD(START_STATE), ST_ERROR_GRAPH_TRUNCATED);
    }
    if (!table_fits(graph, FIELD(STATES_OFFSET), header, graph->state_count + 1, 2)) {
        return wrong(info, FIELD(STATES_OFFSET), ST_ERROR_GRAPH_TRUNCATED);
    }
    if (!table_fits(graph, FIELD(FINALS_OFFSET), header, graph->state_count, 1)) {
        return wrong(info, FIELD(FINALS_OFFSET), ST_ERROR_GRAPH_TRUNCATED);
    }
    if (!table_fits(graph, FIELD(ARCS_OFFSET), header, graph->arc_count, ARC_SHIFT)) {
        return wrong(info, FIELD(ARCS_OFFSET), ST_ERROR_GRAPH_TRUNCATED);
    }
    if (!table_fits(graph, FIELD(WORDS_OFFSET), header, graph->word_count, WORD_SHIFT)) {
        return wrong(info, FIELD(WORDS_OFFSET), ST_ERROR_GRAPH_TRUNCATED);
    }
    if (!table_fits(graph, FIELD(STRINGS_OFFSET), header, graph->string_count, 2)) {
        return wrong(info, FIELD(STRINGS_OFFSET), ST_ERROR_GRAPH_TRUNCATED);
    }
    return 0;
}

ST_HOT st_status_t st_graph_open(const uint8_t *data, uint32_t bytes, st_graph_t *graph, int32_t *info) {
    st_status_t status = check_header(data, bytes, info);
    if (status < 0) {
        return status;
    }
    graph->data = data;
    graph->bytes = st_read_u32(data + FIELD(FILE_BYTES));
    graph->crc = st_read_u32(data + FIELD(CRC));
    graph->units_crc = st_read_u32(data + FIELD(UNITS_CRC));
    graph->state_count = st_read_u32(data + FIELD(STATE_COUNT));
    graph->arc_count = st_read_u32(data + FIELD(ARC_COUNT));
    graph->word_count = st_read_u16(data + FIELD(WORD_COUNT));
    graph->string_count = st_read_u16(data + FIELD(STRING_COUNT));
    graph->start_state = st_read_u16(data + FIELD(START_STATE));
    status = check_tables(graph, info);
    if (status < 0) {
        return status;
    }
    graph->first_arc = data + st_read_u32(data + FIELD(STATES_OFFSET));
    graph->finals = data + st_read_u32(data + FIELD(FINALS_OFFSET));
    graph->arcs = data + st_read_u32(data + FIELD(ARCS_OFFSET));
    graph->words = data + st_read_u32(data + FIELD(WORDS_OFFSET));
    graph->strings = data + st_read_u32(data + FIELD(STRINGS_OFFSET));
    return 0;
}

static int optional_index_ok(uint16_t index, uint32_t count) {
    return index == ST_LIMITS_NONE16 || index < count;
}

static st_status_t check_states(const st_graph_t *graph, int32_t *info) {
    uint32_t previous = 0;
    for (uint32_t s = 0; s <= graph->state_count; s++) {
        uint32_t first = st_graph_first_arc(graph, s);
        int wrong_end = s == graph->state_count && first != graph->arc_count;
        if (first < previous || (s == 0 && first != 0) || wrong_end) {
            return wrong(info, (uint32_t)(graph->first_arc - graph->data) + 4 * s, ST_ERROR_GRAPH_TRUNCATED);
        }
        previous = first;
    }
    for (uint32_t s = 0; s < graph->state_count; s++) {
        if (!optional_index_ok(st_graph_final(graph, s), graph->string_count)) {
            return wrong(info, (uint32_t)(graph->finals - graph->data) + 2 * s, ST_ERROR_GRAPH_TRUNCATED);
        }
    }
    return 0;
}

static st_status_t check_arcs(const st_graph_t *graph, int32_t *info) {
    for (uint32_t a = 0; a < graph->arc_count; a++) {
        const uint8_t *arc = st_graph_arc(graph, a);
        int unit = arc[ST_GRAPH_ARC_UNIT_OFFSET];
        if (st_read_u16(arc + ST_GRAPH_ARC_NEXT_STATE_OFFSET) >= graph->state_count ||
            !optional_index_ok(st_read_u16(arc + ST_GRAPH_ARC_WORD_OFFSET), graph->word_count) ||
            st_read_i16(arc + ST_GRAPH_ARC_WEIGHT_OFFSET) > 0 || unit == ST_MODEL_BLANK_UNIT ||
            unit >= ST_MODEL_MAX_UNITS) {
            return wrong(info, (uint32_t)(arc - graph->data), ST_ERROR_GRAPH_TRUNCATED);
        }
    }
    return 0;
}

static st_status_t check_words(const st_graph_t *graph, int32_t *info) {
    for (uint32_t w = 0; w < graph->word_count; w++) {
        const uint8_t *word = st_graph_word(graph, w);
        if (st_read_u16(word + ST_WORD_TEXT_OFFSET) >= graph->string_count ||
            !optional_index_ok(st_read_u16(word + ST_WORD_SLOT_OFFSET), graph->string_count)) {
            return wrong(info, (uint32_t)(word - graph->data), ST_ERROR_GRAPH_TRUNCATED);
        }
    }
    return 0;
}

/* The file ends with a NUL, so any offset inside the strings starts a terminated string. */
static st_status_t check_strings(const st_graph_t *graph, int32_t *info) {
    uint32_t table = (uint32_t)(graph->strings - graph->data);
    uint32_t low = table + 4u * graph->string_count;
    if (graph->string_count > 0 && graph->data[graph->bytes - 1] != 0) {
        return wrong(info, graph->bytes - 1, ST_ERROR_GRAPH_TRUNCATED);
    }
    for (uint32_t i = 0; i < graph->string_count; i++) {
        uint32_t offset = st_read_u32(graph->strings + 4 * i);
        if (offset < low || offset >= graph->bytes) {
            return wrong(info, table + 4 * i, ST_ERROR_GRAPH_TRUNCATED);
        }
    }
    return 0;
}

/* CRC-32 of the file with its crc field zero. */
static uint32_t file_crc(const st_graph_t *graph) {
    static const uint8_t zeros[4] = {0, 0, 0, 0};
    uint32_t crc = st_crc32(0, graph->data, FIELD(CRC));
    crc = st_crc32(crc, zeros, sizeof(zeros));
    return st_crc32(crc, graph->data + FIELD(CRC) + 4, graph->bytes - FIELD(CRC) - 4);
}

st_status_t st_graph_check(const uint8_t *data, uint32_t bytes, st_graph_t *graph, int32_t *info) {
    st_status_t status = st_graph_open(data, bytes, graph, info);
    if (status < 0) {
        return status;
    }
    if (file_crc(graph) != graph->crc) {
        return wrong(info, FIELD(CRC), ST_ERROR_GRAPH_CRC);
    }
    if ((status = check_states(graph, info)) < 0 || (status = check_arcs(graph, info)) < 0 ||
        (status = check_words(graph, info)) < 0 || (status = check_strings(graph, info)) < 0) {
        return status;
    }
    return 0;
}

int st_graph_max_unit(const st_graph_t *graph) {
    int largest = 0;
    for (uint32_t a = 0; a < graph->arc_count; a++) {
        int unit = st_graph_arc(graph, a)[ST_GRAPH_ARC_UNIT_OFFSET];
        largest = ST_MAX(largest, unit);
    }
    return largest;
}
