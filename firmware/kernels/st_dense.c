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

int8_t st_dense_requantize(int32_t sum, int32_t multiplier, int shift, const st_record_conv_t *op) {
    int32_t scaled = st_multiply_by_quantized_multiplier(sum, multiplier, shift);
    /* Limits less the zero point: the sum of scaled value and zero point may not fit int32. */
    return (int8_t)(st_clamp(scaled, op->y_low - op->y_zero, op->y_high - op->y_zero) + op->y_zero);
}

ST_HOT void st_dense_rows(const st_memory_t *memory, const st_record_conv_t *op, const int32_t *column,
                          uint32_t depth, int8_t *y) {
    const int8_t *weights = (const int8_t *)memory->file + op->weights;
    const uint8_t *bias = op->bias ? memory->file + op->bias : NULL;
    const int32_t *multipliers = (const int32_t *)(const void *)(memory->state + op->channels.multipliers);
    const int8_t *shifts = (const int8_t *)memory->state + op->channels.shifts;
    uint32_t step = op->channels.step;
    for (uint32_t row = 0; row < (uint32_t)op->y_depth; row++) {
        uint32_t sum = (uint32_t)st_dense_dot(weights + row * depth, column, depth);
        sum += bias ? st_read_u32(bias + 4 * row) : 0;
        y[row] = st_dense_requantize((int32_t)sum, multipliers[row * step], shifts[row * step], op);
    }
}
