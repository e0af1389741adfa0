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

/* Round(a * b / 2^31), ties up, from four products of 16 bits: for cores that multiply 32 bits by
 * 32 bits to 32 bits only, where the 64-bit product is a library call. No sum below leaves int32. */
static inline int32_t st_rounding_high_mul_narrow(int32_t a, int32_t b) {
    int32_t a_low = (int32_t)((uint32_t)a & 0xFFFFu);
    uint32_t b_low = (uint32_t)b & 0xFFFFu;
    int32_t left = (a >> 16) * (int32_t)b_low + (int32_t)((uint32_t)a_low * b_low >> 16);
    int32_t right = (b >> 16) * a_low + (left & 0xFFFF) + 0x4000; /* 2^30 of the whole product */
    uint32_t high = (uint32_t)((a >> 16) * (b >> 16) + (left >> 16));
    return (int32_t)(2 * high + (uint32_t)(right >> 15));
}

/* Round(a * b / 2^31), ties up; not for INT32_MIN * INT32_MIN. */
static inline int32_t st_rounding_high_mul(int32_t a, int32_t b) {
#ifdef __ARM_ARCH_6M__
    return st_rounding_high_mul_narrow(a, b);
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
#endif
}

/* gemmlowp's SaturatingRoundingDoublingHighMul: round(a * b / 2^31); saturates the one
 * overflowing product. gemmlowp's nudge and truncating division round ties up, for negative
 * products too. */
static inline int32_t st_saturating_rounding_doubling_high_mul(int32_t a, int32_t b) {
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : st_rounding_high_mul(a, b);
}

/* Round(value / 2^exponent), ties away from zero; 0 <= exponent <= 31. */
static inline int32_t st_rounding_divide_by_pot(int32_t value, int exponent) {
    uint32_t sign = value < 0 ? 0xFFFFFFFFu : 0;
    uint32_t magnitude = ((uint32_t)value ^ sign) - sign;
    magnitude = (magnitude + ((1u << exponent) >> 1)) >> exponent;
    return (int32_t)((magnitude ^ sign) - sign);
}

/* value * multiplier * 2^(shift - 31); multiplier is Q0.31 in [2^30, 2^31), shift is a left
 * shift when positive. Wraps like the original when the left shift overflows. */
static inline int32_t st_multiply_by_quantized_multiplier(int32_t value, int32_t multiplier, int shift) {
    if (shift > 0) {
        return st_rounding_high_mul((int32_t)((uint32_t)value << shift), multiplier);
    }
    return st_rounding_divide_by_pot(st_rounding_high_mul(value, multiplier), -shift);
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
