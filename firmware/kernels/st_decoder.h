/* The decoder: the search of st_search.h, scored by a model's predictor and joint.
 *
 * Per step it takes the encoder's current output (output 0 of subgraph "encoder") and evaluates
 * the joint at most once per distinct context. Predictor outputs are kept across steps: one row without
 * a context, one per unit when it is one unit, else a table of ST_DECODER_ROWS rows that later contexts overwrite.
 * State: this struct, the tables, the search. Subgraphs: docs/model_file.md. */
#ifndef ST_DECODER_H
#define ST_DECODER_H

#include "st_model.h"
#include "st_search.h"

#define ST_DECODER_MAGIC (0x31444453u) /* "SDD1" */
#define ST_DECODER_ROWS (64)

typedef struct {
    uint32_t magic;
    uint32_t bytes;
    int16_t encoder;   /* subgraphs */
    int16_t predictor;
    int16_t joint;
    uint16_t context_size;
    uint16_t unit_count;
    uint16_t encoder_bytes;
    uint16_t predictor_bytes;
    uint16_t rows;
    uint32_t encoded;   /* byte offsets: int8 [encoder_bytes], this step's encoder output */
    uint32_t predicted; /* int8 [rows, predictor_bytes] */
    uint32_t tags;      /* uint16 [rows], the context of each row, none16: empty */
    uint32_t log_probs; /* int16 [unit_count] */
    uint32_t table;     /* int32 [256], of the log-softmax */
    uint32_t search;
} st_decoder_t;

/* A model and its initialised state. */
typedef struct {
    uint8_t *state;
    st_model_file_t file;
} st_decoder_model_t;

/* Bytes of state, or -ST_ERROR_MODEL_SUBGRAPH (a part is missing, or its inputs do not fit the
 * outputs that go there in size, scale and zero point), -ST_ERROR_MODEL_METADATA, -ST_ERROR_ARGUMENT
 * (config). */
st_status_t st_decoder_size(const st_decoder_model_t *model, const int32_t *config);

/* Start an utterance. graph is a file of graph_bytes bytes, checked in full first.
 * Returns: 0, what st_graph_check and st_decoder_size return, -ST_ERROR_GRAPH_UNITS, -ST_ERROR_BUFFER_SMALL. */
st_status_t st_decoder_init(st_decoder_t *decoder, uint32_t bytes, const st_decoder_model_t *model,
                            const uint8_t *graph, uint32_t graph_bytes, const int32_t *config);

/* One step on the encoder's current output. Returns 0, or what the search or the model returns. */
st_status_t st_decoder_step(st_decoder_t *decoder, const st_decoder_model_t *model, const st_graph_t *graph);

static inline st_search_t *st_decoder_search(const st_decoder_t *decoder) {
    return (st_search_t *)((uint8_t *)decoder + decoder->search);
}

#endif
