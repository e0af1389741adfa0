/* Fixed-point multipliers from float32 scales, with integers only.
 *
 * Bit-exact to TensorFlow Lite's double arithmetic: the quotient is rounded to 53 bits, ties to
 * even, as the processor does, and then to 31 bits, ties away from zero, as QuantizeMultiplier
 * does. A scale is the 32 bits of a float.
 *
 * Reference: tensorflow/lite/kernels/internal/quantization_util.cc, QuantizeMultiplier. */
#ifndef ST_SCALE_H
#define ST_SCALE_H

#include "st_common.h"

/* mantissa * 2^exponent, exactly. */
typedef struct {
    uint64_t mantissa;
    int32_t exponent;
} st_real_t;

/* Q0.31 in [2^30, 2^31) (or 0) and a left shift when positive. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} st_multiplier_t;

/* Whether these bits are a positive, finite, normal float. */
int st_scale_is_valid(uint32_t bits);

/* The value of a valid scale; its mantissa is in [2^23, 2^24). */
st_real_t st_real_from_scale(uint32_t bits);

/* a * b of two scales, exact (48 bits). */
st_real_t st_real_product(st_real_t a, st_real_t b);

/* QuantizeMultiplier((double)numerator / (double)denominator); the numerator is not zero, the
 * denominator's mantissa is in [2^23, 2^24). */
st_multiplier_t st_quantize_ratio(st_real_t numerator, st_real_t denominator);

/* What the shift of that will not exceed, found without a division. */
int32_t st_ratio_most_shift(st_real_t numerator, st_real_t denominator);

#endif
