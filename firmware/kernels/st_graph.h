/* The compiled command graph (.stg), read in place.
 *
 * A graph is a weighted finite-state acceptor over units whose arcs also carry words. One file,
 * little endian, every table 4-byte aligned in the file, in this order without gaps other than
 * padding to 4 (layouts: firmware/spec/spec.toml):
 *
 *   layout.graph             header; the *_offset fields count bytes from the file's start
 *   u32 first_arc[S + 1]     at states_offset; state s owns arcs first_arc[s] .. first_arc[s + 1] - 1;
 *                            first_arc[0] = 0, never decreasing, first_arc[S] = arc_count
 *   u16 final_intent[S]      at finals_offset; a string index: the intent of a sentence that may end
 *                            here; none16: it may not
 *   layout.graph_arc [A]     at arcs_offset
 *   layout.word [W]          at words_offset
 *   u32 string_offset[N]     at strings_offset; bytes from the file's start, each inside the strings
 *   strings                  directly behind string_offset: NUL-terminated UTF-8; the file's last byte
 *                            is a NUL, and file_bytes is the whole length
 *
 * S = state_count (1 to 65535), A = arc_count, W = word_count, N = string_count. An arc's unit is
 * 1 .. unit_count - 1 (never the blank), its weight is a Q.10 natural log <= 0. The word sits on the
 * arc of the word's last unit, so that the arc's step is the word's end. crc is the zlib CRC-32 of the
 * file with the crc field zero; units_crc is the model metadata's.
 *
 * All reads are byte-wise: the file may lie at any address. */
#ifndef ST_GRAPH_H
#define ST_GRAPH_H

#include "st_common.h"

/* Pointers into a checked file. */
typedef struct {
    const uint8_t *data;
    const uint8_t *first_arc;
    const uint8_t *finals;
    const uint8_t *arcs;
    const uint8_t *words;
    const uint8_t *strings;
    uint32_t bytes;
    uint32_t crc;
    uint32_t units_crc;
    uint32_t state_count;
    uint32_t arc_count;
    uint16_t word_count;
    uint16_t string_count;
    uint16_t start_state;
} st_graph_t;

/* Check the header and that the tables lie inside the file, and fill graph.
 *
 * Args: data, bytes: the file, any alignment, bytes may exceed file_bytes; info: int32
 *   [ST_INFO_INDEX_COUNT] or NULL, info[detail] = byte offset of what is wrong.
 * Returns: 0, or -ST_ERROR_GRAPH_TRUNCATED, _MAGIC, _VERSION or _SIZE (more than 65535 states). */
st_status_t st_graph_open(const uint8_t *data, uint32_t bytes, st_graph_t *graph, int32_t *info);

/* st_graph_open, then the CRC (-ST_ERROR_GRAPH_CRC) and every index of every table
 * (-ST_ERROR_GRAPH_TRUNCATED): after it, any walk through the graph stays inside the file. */
st_status_t st_graph_check(const uint8_t *data, uint32_t bytes, st_graph_t *graph, int32_t *info);

/* The largest unit on any arc, 0 without arcs. */
int st_graph_max_unit(const st_graph_t *graph);

static inline uint32_t st_graph_first_arc(const st_graph_t *graph, uint32_t state) {
    return st_read_u32(graph->first_arc + 4 * state);
}

static inline uint16_t st_graph_final(const st_graph_t *graph, uint32_t state) {
    return st_read_u16(graph->finals + 2 * state);
}

static inline const uint8_t *st_graph_arc(const st_graph_t *graph, uint32_t arc) {
    return graph->arcs + ST_GRAPH_ARC_BYTES * arc;
}

static inline const uint8_t *st_graph_word(const st_graph_t *graph, uint32_t word) {
    return graph->words + ST_WORD_BYTES * word;
}

static inline const char *st_graph_string(const st_graph_t *graph, uint32_t string) {
    return (const char *)(graph->data + st_read_u32(graph->strings + 4 * string));
}

#endif
