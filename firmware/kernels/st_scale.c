#include "st_scale.h"

int st_scale_is_valid(uint32_t bits) {
    uint32_t exponent = bits >> 23; /* sign bit included: negative scales fail the upper bound */
    return exponent >= 1 && exponent <= 254;
}

st_real_t st_real_from_scale(uint32_t bits) {
    st_real_t real;
    real.mantissa = (bits & 0x7FFFFFu) | 0x800000u;
    real.exponent = (int32_t)(bits >> 23) - 150;
    return real;
}

st_real_t st_real_product(st_real_t a, st_real_t b) {
    st_real_t real;
    real.mantissa = a.mantissa * b.mantissa;
    real.exponent = a.exponent + b.exponent;
    return real;
}

/* Drop the low bits of value, rounding to nearest, ties to even; sticky: a remainder below
 * value's last bit is not zero. */
static uint64_t round_even(uint64_t value, int drop, int sticky) {
    uint64_t half = (uint64_t)1 << (drop - 1);
    uint64_t rest = value & (2 * half - 1);
    uint64_t kept = value >> drop;
    if (rest > half || (rest == half && (sticky || (kept & 1)))) {
        kept++;
    }
    return kept;
}

/* Long division: the next 32 bits of a quotient, eight at a time, each digit estimated with the reciprocal
 * 2^31 / (denominator / 2^8 + 1) - never too large, and too small by one at most. */
static uint32_t divide_word(uint32_t word, uint32_t denominator, uint32_t reciprocal, uint32_t *remainder) {
    uint32_t quotient = 0;
    uint32_t rest = *remainder;
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint32_t dividend = (rest << 8) | (word >> shift & 0xFFu);
        uint32_t digit = (dividend >> 16) * reciprocal >> 23;
        rest = dividend - digit * denominator;
        while (rest >= denominator) {
            rest -= denominator;
            digit++;
        }
        quotient = (quotient << 8) | digit;
    }
    *remainder = rest;
    return quotient;
}

/* numerator * 2^16 / denominator, 56 or 57 bits; numerator has 64 bits, denominator 24. The Cortex-M0+ has no divider,
 * and native modules are spared the 64-bit division of libgcc. Sets *sticky when a remainder is left. */
static uint64_t divide(uint64_t numerator, uint32_t denominator, int *sticky) {
    uint32_t remainder = (uint32_t)(numerator >> 48); /* 16 bits: less than the denominator */
    uint32_t reciprocal = 0x80000000u / ((denominator >> 8) + 1);
    uint32_t high = divide_word((uint32_t)(numerator >> 16), denominator, reciprocal, &remainder);
    uint32_t low = divide_word((uint32_t)(numerator << 16), denominator, reciprocal, &remainder);
    *sticky = remainder != 0;
    return (uint64_t)high << 32 | low;
}

int32_t st_ratio_most_shift(st_real_t numerator, st_real_t denominator) {
    int32_t bits = 0;
    for (uint64_t left = numerator.mantissa; left; left >>= 16) {
        bits += 16;
    }
    /* numerator < 2^(exponent + bits), denominator >= 2^(exponent + 23); rounding up to a power of two adds one more. */
    return numerator.exponent + bits - denominator.exponent - 23 + 1;
}

st_multiplier_t st_quantize_ratio(st_real_t numerator, st_real_t denominator) {
    st_multiplier_t result;
    int sticky;
    while (!(numerator.mantissa >> 48)) {
        numerator.mantissa <<= 16;
        numerator.exponent -= 16;
    }
    while (!(numerator.mantissa >> 63)) {
        numerator.mantissa <<= 1;
        numerator.exponent--;
    }
    uint64_t quotient = divide(numerator.mantissa, (uint32_t)denominator.mantissa, &sticky);
    int drop = quotient >> 56 ? 4 : 3;
    uint64_t mantissa = round_even(quotient, drop, sticky); /* a double's: 2^52 ... 2^53 */
    int32_t shift = numerator.exponent - denominator.exponent - 16 + drop + 53;
    if (mantissa >> 53) {
        mantissa >>= 1;
        shift++;
    }
    uint64_t fixed = (mantissa + ((uint64_t)1 << 21)) >> 22;
    if (fixed >> 31) {
        fixed >>= 1;
        shift++;
    }
    if (shift < -31) { /* TensorFlow Lite flushes these to zero */
        shift = 0;
        fixed = 0;
    }
    result.multiplier = (int32_t)fixed;
    result.shift = shift;
    return result;
}
