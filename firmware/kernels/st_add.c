#include "st_add.h"

#include "st_fixed.h"

/* How near to a whole number is too near. While -y_scale.shift >= LEAST_SHIFT the reference is within 2.5 / 2^12 of the
 * sum of the scaled inputs: each of them is within 1, the product of their sum within 1/2 more, and all that is divided
 * by 2^-y_scale.shift. The factors are within 1 of theirs and |a - a_zero| + |b - b_zero| <= 510, which makes
 * 510 / 2^20. Both are below 2^-9 together. */
#define FACTOR_BITS (20)
#define LEAST_SHIFT (12)
#define NEAR_BITS (9)
#define MOST_FACTOR (2 << FACTOR_BITS) /* twice 255 times it, and the offset, fit int32 */

/* scale * y_scale * 2^20, Q20, within 1; -1 if it is above 2. */
static int32_t factor(st_multiplier_t scale, st_multiplier_t y_scale) {
    int32_t right = 31 - ST_ADD_LEFT_SHIFT - FACTOR_BITS - scale.shift - y_scale.shift;
    int32_t product = st_rounding_high_mul(scale.multiplier, y_scale.multiplier);
    if (right < 0 || (right < 31 && product >> right > MOST_FACTOR)) {
        return -1;
    }
    return right < 31 ? product >> right : 0;
}

ST_HOT void st_add_prepare(st_add_t *add) {
    int32_t a = factor(add->a_scale, add->y_scale);
    int32_t b = factor(add->b_scale, add->y_scale);
    add->is_quick = a >= 0 && b >= 0 && -add->y_scale.shift >= LEAST_SHIFT;
    if (add->is_quick) {
        add->a_factor = a;
        add->b_factor = b;
        add->offset = (1 << (FACTOR_BITS - 1)) + add->y_zero * (1 << FACTOR_BITS) - add->a_zero * a - add->b_zero * b;
    }
}

/* value * 2^20 * multiplier * 2^(shift - 31), rounded as st_multiply_by_quantized_multiplier does.
 * A value of 9 bits leaves room to do without 64-bit products: multiplier = high * 2^11 + low. */
static inline int32_t scaled(int32_t value, st_multiplier_t scale) {
    int32_t low = value * (scale.multiplier & 0x7FF);
    int32_t rounded = low >= 0 ? (low + 0x400) >> 11 : -((0x400 - low) >> 11);
    return st_rounding_divide_by_pot(value * (scale.multiplier >> 11) + rounded, -scale.shift);
}

ST_HOT int32_t st_add_one(const st_add_t *add, int32_t a, int32_t b) {
    int32_t sum = scaled(a - add->a_zero, add->a_scale) + scaled(b - add->b_zero, add->b_scale);
    int32_t y = st_multiply_by_quantized_multiplier(sum, add->y_scale.multiplier, add->y_scale.shift);
    /* Limits less the zero point: the sum of scaled value and zero point may not fit int32. */
    return st_clamp(y, add->low - add->y_zero, add->high - add->y_zero) + add->y_zero;
}

void st_add_naive(const st_add_t *add, const int8_t *a, uint32_t a_step, const int8_t *b, uint32_t b_step, int8_t *y,
                  uint32_t count) {
    for (const int8_t *end = y + count; y != end; y++) {
        *y = (int8_t)st_add_one(add, *a, *b);
        a += a_step;
        b += b_step;
    }
}

#if !defined(__ARM_ARCH_6M__) /* there: st_add_m0.c */

void st_add_run(const st_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint32_t count) {
    for (const int8_t *end = y + count; y != end; y++, a++, b++) {
        int32_t value = *a * add->a_factor + *b * add->b_factor + add->offset;
        uint32_t fraction = (uint32_t)value << (32 - FACTOR_BITS);
        if ((fraction + (1u << (32 - NEAR_BITS))) >> (33 - NEAR_BITS) == 0) {
            *y = (int8_t)st_add_one(add, *a, *b);
        } else {
            *y = (int8_t)st_clamp(value >> FACTOR_BITS, add->low, add->high);
        }
    }
}

#endif
