/* Dense dot products of int8 weights with int32 inputs.
 *
 * The inputs are int8 activations less their zero point, widened once per layer: that costs one
 * pass over the input and saves an addition and a sign extension in every multiplication. */
#ifndef ST_DENSE_H
#define ST_DENSE_H

#include "st_op.h"

/* x[i] - zero, widened. */
void st_dense_widen(const int8_t *x, uint32_t count, int32_t zero, int32_t *column);

/* Sum of weights[i] * column[i]: any length, any alignment. */
int32_t st_dense_dot_naive(const int8_t *weights, const int32_t *column, uint32_t depth);

/* The same for a depth that is a multiple of 4 and weights aligned to 4. */
int32_t st_dense_dot_words(const int8_t *weights, const int32_t *column, uint32_t depth);

/* The same for two successive rows: sums[0] and sums[1]. */
void st_dense_dot_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t sums[2]);

/* One row, by whichever applies. */
int32_t st_dense_dot(const int8_t *weights, const int32_t *column, uint32_t depth);

/* y[row] for every row of the weights of a convolution at one position. */
void st_dense_rows(const st_memory_t *memory, const st_record_conv_t *op, const int32_t *column, uint32_t depth,
                   int8_t *y);

/* Accumulator of one channel to int8. */
int8_t st_dense_requantize(int32_t sum, int32_t multiplier, int shift, const st_record_conv_t *op);

#endif
