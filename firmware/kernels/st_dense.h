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

/* The same as fast as we can, where depth and weights allow it. Before the first pair st_dense_begin may change the
 * column for the loop's sake, and returns what every sum starts with; st_dense_end changes it back. */
int32_t st_dense_begin(int32_t *column, uint32_t depth);
void st_dense_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t start, int32_t sums[2]);
void st_dense_end(int32_t *column, uint32_t depth);

/* One row, by whichever applies. */
int32_t st_dense_dot(const int8_t *weights, const int32_t *column, uint32_t depth);

/* y[row] for every row of the weights of a convolution at one position. */
void st_dense_rows(const st_memory_t *memory, const st_record_conv_t *op, int32_t *column, uint32_t depth, int8_t *y);

/* Accumulator of one channel to int8. */
int8_t st_dense_requantize(int32_t sum, int32_t multiplier, int shift, const st_record_conv_t *op);

/* Multipliers and bias of a layer, at the row that comes next. */
typedef struct {
    const int32_t *multipliers;
    const int8_t *shifts;
    const uint8_t *bias;
    uint32_t step;
} st_dense_channel_t;

/* Those of row 0. */
static inline st_dense_channel_t st_dense_channels(const st_memory_t *memory, const st_record_conv_t *op) {
    st_dense_channel_t channel = {(const int32_t *)(const void *)(memory->state + op->channels.multipliers),
                                  (const int8_t *)memory->state + op->channels.shifts,
                                  op->bias ? memory->file + op->bias : NULL, op->channels.step};
    return channel;
}

/* The row's dot product to its output; goes on to the next row. */
static inline int8_t st_dense_finish(st_dense_channel_t *channel, int32_t sum, const st_record_conv_t *op) {
    if (channel->bias) {
        sum = (int32_t)((uint32_t)sum + st_read_u32(channel->bias));
        channel->bias += 4;
    }
    int8_t y = st_dense_requantize(sum, *channel->multipliers, *channel->shifts, op);
    channel->multipliers += channel->step;
    channel->shifts += channel->step;
    return y;
}

#define ST_DENSE_FINISHED (16) /* rows that the dense kernels finish at once; even */

/* The same for so many rows. */
void st_dense_finish_rows(st_dense_channel_t *channel, const int32_t *sums, uint32_t count, const st_record_conv_t *op,
                          int8_t *y);

/* Whether it reads nothing but RAM, where the bias lies there. */
static inline int st_dense_is_quick(const st_dense_channel_t *channel) {
    return channel->bias != NULL && ((uint32_t)(uintptr_t)channel->bias & 3u) == 0 && channel->step == 1;
}

/* The plain loop behind it, and what the Cortex-M0+ does instead where bias and step allow it. */
void st_dense_finish_naive(st_dense_channel_t *channel, const int32_t *sums, uint32_t count,
                           const st_record_conv_t *op, int8_t *y);

/* Arguments of st_dense_finish_loop, which reads them in this order. */
typedef struct {
    const int32_t *sums;
    const uint8_t *bias; /* aligned to 4 */
    const int32_t *multipliers;
    const int8_t *shifts;
    const int32_t *end; /* of the sums, of which there is at least one */
    int32_t zero, low, high; /* of y; the limits less the zero point */
    int8_t *y;
} st_dense_finish_t;

void st_dense_finish_loop(const st_dense_finish_t *rows);

/* st_multiply_by_quantized_multiplier, as a function. */
int32_t st_dense_scale(int32_t sum, int32_t multiplier, int32_t shift);

#endif
