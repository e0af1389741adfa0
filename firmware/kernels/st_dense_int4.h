/* Dense dot products of 4-bit weights with int32 inputs.
 *
 * Weights lie in the file as TensorFlow Lite's INT4: two per byte, the first in the low nibble,
 * two's complement. They are taken apart in the inner loop, two per multiplication. */
#ifndef ST_DENSE_INT4_H
#define ST_DENSE_INT4_H

#include "st_op.h"

/* Sum of weights[i] * column[i - first], i = first ... first + depth - 1, in elements: any position. */
int32_t st_dense_int4_dot_naive(const uint8_t *weights, uint32_t first, const int32_t *column, uint32_t depth);

/* Pack inputs of -255 to 255 in place; depth is a multiple of 8, and not 0. Returns depth / 2 pairs, and behind them
 * the rounding of a group's sum and what every row's sum starts with. */
const uint32_t *st_dense_int4_pack(int32_t *column, uint32_t depth);

/* The same sum for one row and packed inputs: the weights are aligned to 4. */
int32_t st_dense_int4_dot(const uint8_t *weights, uint32_t depth, const uint32_t *pairs);

/* The same for two successive rows: sums[0] and sums[1]. */
void st_dense_int4_dot_pair(const uint8_t *weights, uint32_t depth, const uint32_t *pairs, int32_t sums[2]);

/* y[row] for every row of the weights of a convolution at one position; overwrites the column. */
void st_dense_int4_rows(const st_memory_t *memory, const st_record_conv_t *op, int32_t *column, uint32_t depth,
                        int8_t *y);

#endif
