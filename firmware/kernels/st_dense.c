#include "st_dense.h"

#include "st_fixed.h"

ST_HOT void st_dense_widen(const int8_t *x, uint32_t count, int32_t zero, int32_t *column) {
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

/* Four weights in one word, read at once: a load costs as much as two multiplications. */
static inline uint32_t weight_word(const int8_t *weights) {
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(weights, 4), 4);
    return word;
}

#define ST_WEIGHT_0(word) ((int32_t)(int8_t)(word))
#define ST_WEIGHT_1(word) ((int32_t)((word) << 16) >> 24)
#define ST_WEIGHT_2(word) ((int32_t)((word) << 8) >> 24)
#define ST_WEIGHT_3(word) ((int32_t)(word) >> 24)

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

static inline int is_wordwise(const int8_t *weights, uint32_t depth) {
    return ((uint32_t)(uintptr_t)weights & 3u) == 0 && (depth & 3u) == 0;
}

int32_t st_dense_dot(const int8_t *weights, const int32_t *column, uint32_t depth) {
    return is_wordwise(weights, depth) ? st_dense_dot_words(weights, column, depth)
                                       : st_dense_dot_naive(weights, column, depth);
}

ST_HOT int8_t st_dense_requantize(int32_t sum, int32_t multiplier, int shift, const st_record_conv_t *op) {
    int32_t scaled = st_multiply_by_quantized_multiplier(sum, multiplier, shift);
    /* Limits less the zero point: the sum of scaled value and zero point may not fit int32. */
    return (int8_t)(st_clamp(scaled, op->y_low - op->y_zero, op->y_high - op->y_zero) + op->y_zero);
}

ST_HOT void st_dense_rows(const st_memory_t *memory, const st_record_conv_t *op, const int32_t *column,
                          uint32_t depth, int8_t *y) {
    const int8_t *weights = (const int8_t *)memory->file + op->weights;
    st_dense_channel_t channel = st_dense_channels(memory, op);
    int8_t *end = y + op->y_depth;
    if (is_wordwise(weights, depth)) {
        for (; end - y >= 2; y += 2) {
            int32_t sums[2];
            st_dense_dot_pair(weights, depth, column, sums);
            y[0] = st_dense_finish(&channel, sums[0], op);
            y[1] = st_dense_finish(&channel, sums[1], op);
            weights += 2 * depth;
        }
    }
    for (; y != end; y++) {
        *y = st_dense_finish(&channel, st_dense_dot(weights, column, depth), op);
        weights += depth;
    }
}
