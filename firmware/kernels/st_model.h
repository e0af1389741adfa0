/* A small interpreter for int8 TensorFlow Lite flatbuffers, read in place.
 *
 * Three calls: st_model_size checks the file and says how much memory it needs, st_model_init
 * plans the arena and computes the fixed-point multipliers in that memory, st_model_invoke runs
 * one subgraph once. The state holds offsets, never addresses, so the model is passed each time.
 * Meaning of every call and the recurrent-state rule: docs/kernels_api.md. */
#ifndef ST_MODEL_H
#define ST_MODEL_H

#include "st_common.h"

/* The whole file and its length in bytes; data is 16-byte aligned. */
typedef struct {
    const uint8_t *data;
    uint32_t bytes;
} st_model_file_t;

/* Bytes of state, or -ST_ERROR_MODEL_...; info (int32 [ST_INFO_INDEX_COUNT]) says where. */
st_status_t st_model_size(st_model_file_t file, int32_t *info);

st_status_t st_model_init(uint8_t *state, uint32_t state_bytes, st_model_file_t file, int32_t *info);

/* Recurrent state back to the zero points. */
st_status_t st_model_reset(uint8_t *state, st_model_file_t file);

/* Index of the subgraph called name[0..length), or -ST_ERROR_MODEL_SUBGRAPH. */
st_status_t st_model_subgraph(const uint8_t *state, st_model_file_t file, const char *name, uint32_t length);

/* Byte offset in state, size in bytes, float32 scale bits and zero point of input (output = 0)
 * or output (output = 1) k of a subgraph. */
st_status_t st_model_tensor(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k);
st_status_t st_model_tensor_bytes(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k);
st_status_t st_model_tensor_scale(const uint8_t *state, st_model_file_t file, int subgraph, int output, int k,
                                  uint32_t *scale_bits, int32_t *zero_point);

st_status_t st_model_invoke(uint8_t *state, st_model_file_t file, int subgraph);

/* The Stapes metadata (layout.metadata and what follows it), or NULL. */
const uint8_t *st_model_metadata(st_model_file_t file, uint32_t *bytes);

#endif
