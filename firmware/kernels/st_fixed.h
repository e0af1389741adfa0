/* Fixed-point arithmetic of the TensorFlow Lite int8 specification.
 *
 * Reference: tensorflow/lite/kernels/internal/common.h and gemmlowp fixedpoint.h, the
 * double-rounding variant (TFLITE_SINGLE_ROUNDING undefined), which both LiteRT's reference
 * kernels and TensorFlow Lite Micro use. Right shifts of negative values are arithmetic on
 * every compiler we build with; tests/kernels checks it. */
#ifndef ST_FIXED_H
#define ST_FIXED_H

#include "st_common.h"

static inline int32_t st_clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : (value > high ? high : value);
}

static inline int32_t st_saturate_i16(int32_t value) {
    return st_clamp(value, INT16_MIN, INT16_MAX);
}

/* Round(a * b / 2^31), ties away from zero; saturates the one overflowing product. */
static inline int32_t st_saturating_rounding_doubling_high_mul(int32_t a, int32_t b) {
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    int64_t product = (int64_t)a * b;
    int64_t nudge = product >= 0 ? ((int64_t)1 << 30) : (1 - ((int64_t)1 << 30));
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

/* Round(value / 2^exponent), ties away from zero; 0 <= exponent <= 31. */
static inline int32_t st_rounding_divide_by_pot(int32_t value, int exponent) {
    int32_t mask = (int32_t)(((int64_t)1 << exponent) - 1);
    int32_t remainder = value & mask;
    int32_t threshold = (mask >> 1) + (value < 0 ? 1 : 0);
    return (value >> exponent) + (remainder > threshold ? 1 : 0);
}

/* value * multiplier * 2^(shift - 31); multiplier is Q0.31 in [2^30, 2^31), shift is a left
 * shift when positive. Wraps like the original when the left shift overflows. */
static inline int32_t st_multiply_by_quantized_multiplier(int32_t value, int32_t multiplier, int shift) {
    int left = shift > 0 ? shift : 0;
    int right = shift > 0 ? 0 : -shift;
    int32_t shifted = (int32_t)((uint32_t)value << left);
    return st_rounding_divide_by_pot(st_saturating_rounding_doubling_high_mul(shifted, multiplier), right);
}

/* Position of the highest set bit, 0..31; -1 for zero, on every target. */
static inline int st_msb32(uint32_t value) {
    int position = -1;
    while (value) {
        value >>= 1;
        position++;
    }
    return position;
}

#endif
