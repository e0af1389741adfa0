#include "st_dense.h"

#include "st_fetch.h"
#include "st_fixed.h"

/* Four weights or inputs in one word, read at once: a load costs as much as two multiplications. */
static inline uint32_t weight_word(const int8_t *weights) {
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(weights, 4), 4);
    return word;
}

#define ST_WEIGHT_0(word) ((int32_t)(int8_t)(word))
#define ST_WEIGHT_1(word) ((int32_t)((word) << 16) >> 24)
#define ST_WEIGHT_2(word) ((int32_t)((word) << 8) >> 24)
#define ST_WEIGHT_3(word) ((int32_t)(word) >> 24)

ST_HOT void st_dense_widen(const int8_t *x, uint32_t count, int32_t zero, int32_t *column) {
    if ((((uint32_t)(uintptr_t)x | count) & 3u) == 0) {
        for (const int8_t *end = x + count; x != end; x += 4) {
            uint32_t word = weight_word(x);
            column[0] = ST_WEIGHT_0(word) - zero;
            column[1] = ST_WEIGHT_1(word) - zero;
            column[2] = ST_WEIGHT_2(word) - zero;
            column[3] = ST_WEIGHT_3(word) - zero;
            column += 4;
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        column[i] = x[i] - zero;
    }
}

int32_t st_dense_dot_naive(const int8_t *weights, const int32_t *column, uint32_t depth) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < depth; i++) {
        sum += weights[i] * column[i];
    }
    return sum;
}

/* Sums of two rows at once: both need the same inputs, and those loads are half of the work. */
ST_HOT void st_dense_dot_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t sums[2]) {
    int32_t first = 0;
    int32_t second = 0;
    const int8_t *end = weights + depth;
    while (weights != end) {
        uint32_t b = weight_word(weights + depth);
        uint32_t a = weight_word(weights);
        int32_t x = column[0];
        first += ST_WEIGHT_0(a) * x;
        second += ST_WEIGHT_0(b) * x;
        x = column[1];
        first += ST_WEIGHT_1(a) * x;
        second += ST_WEIGHT_1(b) * x;
        x = column[2];
        first += ST_WEIGHT_2(a) * x;
        second += ST_WEIGHT_2(b) * x;
        x = column[3];
        first += ST_WEIGHT_3(a) * x;
        second += ST_WEIGHT_3(b) * x;
        weights += 4;
        column += 4;
    }
    sums[0] = first;
    sums[1] = second;
}

ST_HOT int32_t st_dense_dot_words(const int8_t *weights, const int32_t *column, uint32_t depth) {
    int32_t sum = 0;
    const int8_t *end = weights + depth;
    while (weights != end) {
        uint32_t word = weight_word(weights);
        sum += ST_WEIGHT_0(word) * column[0];
        sum += ST_WEIGHT_1(word) * column[1];
        sum += ST_WEIGHT_2(word) * column[2];
        sum += ST_WEIGHT_3(word) * column[3];
        weights += 4;
        column += 4;
    }
    return sum;
}

#if !defined(__ARM_ARCH_6M__) /* there: st_dense_m0.c */

int32_t st_dense_begin(int32_t *column, uint32_t depth) {
    (void)column;
    (void)depth;
    return 0;
}

void st_dense_pair(const int8_t *weights, uint32_t depth, const int32_t *column, int32_t start, int32_t sums[2]) {
    (void)start;
    st_dense_dot_pair(weights, depth, column, sums);
}

void st_dense_end(int32_t *column, uint32_t depth) {
    (void)column;
    (void)depth;
}

#endif

static inline int is_wordwise(const int8_t *weights, uint32_t depth) {
    return ((uint32_t)(uintptr_t)weights & 3u) == 0 && (depth & 3u) == 0;
}

int32_t st_dense_dot(const int8_t *weights, const int32_t *column, uint32_t depth) {
    return is_wordwise(weights, depth) ? st_dense_dot_words(weights, column, depth)
                                       : st_dense_dot_naive(weights, column, depth);
}

ST_HOT int32_t st_dense_scale(int32_t sum, int32_t multiplier, int32_t shift) {
    return st_multiply_by_quantized_multiplier(sum, multiplier, shift);
}

ST_HOT int8_t st_dense_requantize(int32_t sum, int32_t multiplier, int shift, const st_record_conv_t *op) {
    int32_t scaled = st_multiply_by_quantized_multiplier(sum, multiplier, shift);
    /* Limits less the zero point: the sum of scaled value and zero point may not fit int32. */
    return (int8_t)(st_clamp(scaled, op->y_low - op->y_zero, op->y_high - op->y_zero) + op->y_zero);
}

/* A word of a bias: any alignment, but whole words cost a quarter. */
static inline uint32_t bias_word(const uint8_t *bias) {
    uint32_t word;
    if (((uint32_t)(uintptr_t)bias & 3u) != 0) {
        return st_read_u32(bias);
    }
    memcpy(&word, __builtin_assume_aligned(bias, 4), 4);
    return word;
}

void st_dense_finish_naive(st_dense_channel_t *channel, const int32_t *sums, uint32_t count,
                           const st_record_conv_t *op, int8_t *y) {
    st_dense_channel_t next = *channel;
    int32_t zero = op->y_zero;
    int32_t low = op->y_low - zero; /* st_dense_requantize says why */
    int32_t high = op->y_high - zero;
    for (const int32_t *end = sums + count; sums != end; sums++) {
        int32_t sum = *sums;
        if (next.bias) {
            sum = (int32_t)((uint32_t)sum + bias_word(next.bias));
            next.bias += 4;
        }
        int32_t scaled = st_dense_scale(sum, *next.multipliers, *next.shifts);
        *y++ = (int8_t)(st_clamp(scaled, low, high) + zero);
        next.multipliers += next.step;
        next.shifts += next.step;
    }
    *channel = next;
}

#if defined(__ARM_ARCH_6M__)

ST_HOT void st_dense_finish_rows(st_dense_channel_t *channel, const int32_t *sums, uint32_t count, const st_record_conv_t *op,
                          int8_t *y) {
    if (!st_dense_is_quick(channel) || count == 0) {
        st_dense_finish_naive(channel, sums, count, op, y);
        return;
    }
    int32_t zero = op->y_zero;
    st_dense_finish_t rows = {sums, channel->bias, channel->multipliers, channel->shifts, sums + count, zero,
                              op->y_low - zero, op->y_high - zero, y};
    st_dense_finish_loop(&rows);
    channel->bias += 4 * count;
    channel->multipliers += count;
    channel->shifts += count;
}

#else

ST_HOT void st_dense_finish_rows(st_dense_channel_t *channel, const int32_t *sums, uint32_t count, const st_record_conv_t *op,
                          int8_t *y) {
    st_dense_finish_naive(channel, sums, count, op, y);
}

#endif

/* sums of count rows, an even number of at most ST_DENSE_FINISHED. */
static inline void pair_sums(const int8_t *weights, uint32_t count, uint32_t depth, const int32_t *column, int32_t start,
                             int32_t *sums) {
    for (int32_t *end = sums + count; sums != end; sums += 2) {
        st_dense_pair(weights, depth, column, start, sums);
        weights += 2 * depth;
    }
}

/* An even number of rows after st_dense_begin, which returned start. */
ST_HOT static void paired_rows(st_dense_channel_t *channel, const st_record_conv_t *op, const int8_t *weights,
                               uint32_t rows, const int32_t *column, uint32_t depth, int32_t start, int8_t *y) {
    int32_t sums[ST_DENSE_FINISHED];
    while (rows > 0) {
        uint32_t count = ST_MIN(rows, ST_DENSE_FINISHED);
        pair_sums(weights, count, depth, column, start, sums);
        st_dense_finish_rows(channel, sums, count, op, y);
        weights += count * depth;
        rows -= count;
        y += count;
    }
}

#ifdef ST_FETCH

#define LEAST_FETCHED (256) /* bytes: fewer are not worth it */
#define FETCHED_AT_ONCE (8) /* rows, at most ST_DENSE_FINISHED and even */

/* The same from copies: some rows are copied while those before are worked on, and finished afterwards, since the bias
 * is read in place. */
ST_HOT static void fetched_rows(st_fetch_t *fetch, st_dense_channel_t *channel, const st_record_conv_t *op,
                                const int8_t *weights, uint32_t rows, const int32_t *column, uint32_t depth,
                                int32_t start, int8_t *y) {
    int32_t sums[ST_DENSE_FINISHED];
    uint32_t count = ST_MIN(rows, FETCHED_AT_ONCE);
    uint32_t *copy = fetch->pool;
    const int8_t *from = weights;
    const uint32_t all = rows * depth;
    st_fetch_start(copy, from, count * depth);
    st_fetch_wait();
    while (rows > 0) {
        uint32_t next = ST_MIN(rows - count, FETCHED_AT_ONCE);
        uint32_t *next_copy = copy + count * depth / 4;
        from += count * depth;
        if (next > 0) {
            st_fetch_start(next_copy, from, next * depth);
        }
        pair_sums((const int8_t *)copy, count, depth, column, start, sums);
        if (next > 0) {
            st_fetch_wait();
        }
        st_dense_finish_rows(channel, sums, count, op, y);
        rows -= count;
        y += count;
        count = next;
        copy = next_copy;
    }
    fetch->held = weights;
    fetch->held_bytes = all;
}

/* Small layers are copied whole. The joint, which runs several times in a step, finds its weights where it left them. */
static void even_rows(st_dense_channel_t *channel, const st_record_conv_t *op, const int8_t *weights, uint32_t rows,
                      const int32_t *column, uint32_t depth, int32_t start, int8_t *y) {
    uint32_t bytes = rows * depth;
    st_fetch_t *fetch = st_fetch_open(weights);
    if (fetch == NULL || bytes < LEAST_FETCHED || !st_fetch_fits(weights, bytes, sizeof(fetch->pool))) {
        paired_rows(channel, op, weights, rows, column, depth, start, y);
    } else if (fetch->held == weights && fetch->held_bytes >= bytes) {
        paired_rows(channel, op, (const int8_t *)fetch->pool, rows, column, depth, start, y);
    } else {
        fetched_rows(fetch, channel, op, weights, rows, column, depth, start, y);
    }
}

#else

static void even_rows(st_dense_channel_t *channel, const st_record_conv_t *op, const int8_t *weights, uint32_t rows,
                      const int32_t *column, uint32_t depth, int32_t start, int8_t *y) {
    paired_rows(channel, op, weights, rows, column, depth, start, y);
}

#endif

ST_HOT void st_dense_rows(const st_memory_t *memory, const st_record_conv_t *op, int32_t *column, uint32_t depth,
                          int8_t *y) {
    const int8_t *weights = (const int8_t *)memory->file + op->weights;
    st_dense_channel_t channel = st_dense_channels(memory, op);
    int8_t *end = y + op->y_depth;
    if (is_wordwise(weights, depth) && op->y_depth >= 2) {
        uint32_t rows = (uint32_t)op->y_depth & ~1u;
        even_rows(&channel, op, weights, rows, column, depth, st_dense_begin(column, depth), y);
        st_dense_end(column, depth); /* even where nothing is left: scratch is the same on all targets */
        weights += rows * depth;
        y += rows;
    }
    for (; y != end; y++) {
        *y = st_dense_finish(&channel, st_dense_dot(weights, column, depth), op);
        weights += depth;
    }
}
