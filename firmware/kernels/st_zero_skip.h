/* Sums of products of packed weights, whose zeros are left out, with uint8 inputs.
 *
 * The layout is that of layout.zero_skip in firmware/spec/spec.toml. Cycles per weight, zeros included:
 * docs/model_file.md. */
#ifndef ST_ZERO_SKIP_H
#define ST_ZERO_SKIP_H

#include "st_fetch.h"
#include "st_op.h"

/* Packed weights in place. The assembly reads this structure. */
typedef struct {
    const uint8_t *groups; /* aligned to 4 */
    const uint8_t *counts; /* uint16 [blocks][segments], entries; aligned to 2 */
    uint32_t segments;
    uint32_t blocks; /* at least one */
} st_zero_skip_t;

/* Bytes of a group: four columns, then four times four weights. */
static inline uint32_t st_zero_skip_group_bytes(uint32_t bits) {
    return 4 + 2 * bits;
}

/* sums[r] = sum of w[r][i] * x[i], modulo 2^32, for every row r of every block; x: uint8 [columns]. */
void st_zero_skip_sums_naive(const st_zero_skip_t *packed, uint32_t bits, const uint8_t *x, uint32_t *sums);

/* The same for weights of 4 and of 8 bits, as fast as we can. */
void st_zero_skip_sums4(const st_zero_skip_t *packed, const uint8_t *x, uint32_t *sums);
void st_zero_skip_sums8(const st_zero_skip_t *packed, const uint8_t *x, uint32_t *sums);

/* Segments of a row, and blocks of a matrix. */
static inline uint32_t st_zero_skip_segments(uint32_t depth) {
    return (depth + ST_ZERO_SKIP_SEGMENT - 1) / ST_ZERO_SKIP_SEGMENT;
}

static inline uint32_t st_zero_skip_blocks(uint32_t rows) {
    return (rows + ST_ZERO_SKIP_ROWS - 1) / ST_ZERO_SKIP_ROWS;
}

/* Those with a header, of a matrix [rows, depth]. */
st_zero_skip_t st_zero_skip_open(const uint8_t *header, uint32_t rows, uint32_t depth);

/* Bits of a weight with this header. */
static inline uint32_t st_zero_skip_bits(const uint8_t *header) {
    return header[ST_ZERO_SKIP_BITS_OFFSET];
}

/* All sums of a matrix [rows, depth] with a header: lays them out one after the other, those of the last block too.
 * bias: int32 [rows] or NULL. Returns where it is to be read now: there, or in RAM until the next operator runs. */
const uint8_t *st_zero_skip_sums(const uint8_t *header, uint32_t rows, uint32_t depth, const uint8_t *x,
                                 uint32_t *sums, const uint8_t *bias);

#ifdef ST_FETCH
/* The same by copies to RAM. Returns whether it could: then *bias is where it is to be read now. */
int st_zero_skip_fetched(const uint8_t *header, uint32_t rows, uint32_t depth, const uint8_t *x, uint32_t *sums,
                         const uint8_t **bias);
#endif

/* Bytes of the sums of so many rows. */
uint32_t st_zero_skip_sum_bytes(uint32_t rows);

/* Bytes of scratch: the sums of all blocks, then a column of depth inputs. */
uint32_t st_zero_skip_scratch_bytes(uint32_t rows, uint32_t depth);

/* x[i] + 128. */
void st_zero_skip_lift(const int8_t *x, uint32_t count, uint8_t *column);

/* Check packed weights, operand k of an operator, of a matrix [rows, depth]; bits: of a weight, 0: 4 or 8. Their header's
 * position in the file. */
st_status_t st_zero_skip_prepare(st_plan_t *plan, uint32_t k, uint32_t rows, uint32_t depth, uint32_t bits,
                                 uint32_t *header);

#endif
