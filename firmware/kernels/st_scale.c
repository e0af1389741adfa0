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

/* numerator / denominator to 56 or 57 bits, bit by bit: the Cortex-M0+ has no divider and this
 * spares native modules the 64-bit division of libgcc. Sets *sticky when a remainder is left. */
static uint64_t divide(uint64_t numerator, uint32_t denominator, int *sticky) {
    uint64_t quotient = 0;
    uint32_t remainder = 0;
    for (int bit = 0; bit < 80; bit++) {
        remainder = (remainder << 1) | (uint32_t)(numerator >> 63);
        numerator <<= 1;
        quotient <<= 1;
        if (remainder >= denominator) {
            remainder -= denominator;
            quotient |= 1;
        }
    }
    *sticky = remainder != 0;
    return quotient;
}

st_multiplier_t st_quantize_ratio(st_real_t numerator, st_real_t denominator) {
    st_multiplier_t result;
    int sticky;
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
