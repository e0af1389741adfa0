#include "st_float.h"

#define FRACTION_BITS (23)
#define IMPLICIT_BIT (1u << FRACTION_BITS)
#define FRACTION_MASK (IMPLICIT_BIT - 1)
#define BIAS (127)
#define LARGEST_EXPONENT (254)
#define QUOTIENT_LIMIT (512)
#define QUOTIENT_LIMIT_POWER (9)

/* mantissa * 2^exponent; mantissa in [2^23, 2^24). */
typedef struct {
    uint32_t mantissa;
    int32_t exponent;
} real_t;

/* A float that is finite and not zero, its sign apart. */
static real_t unpack(uint32_t bits) {
    real_t real = {bits & FRACTION_MASK, (int32_t)((bits & ~ST_FLOAT_SIGN) >> FRACTION_BITS)};
    if (real.exponent == 0) {
        real.exponent = 1;
        while (!(real.mantissa & IMPLICIT_BIT)) {
            real.mantissa <<= 1;
            real.exponent--;
        }
    }
    real.mantissa |= IMPLICIT_BIT;
    real.exponent -= BIAS + FRACTION_BITS;
    return real;
}

/* Round up when more than half, or half of an odd mantissa, was left out. */
static real_t rounded(real_t real, int more_than_half, int half) {
    if (more_than_half || (half && (real.mantissa & 1))) {
        real.mantissa++;
        if (real.mantissa >> (FRACTION_BITS + 1)) {
            real.mantissa >>= 1;
            real.exponent++;
        }
    }
    return real;
}

/* product * 2^exponent; product: 2^23 or more. */
static real_t round_product(uint64_t product, int32_t exponent) {
    int drop = 0;
    while (product >> (FRACTION_BITS + 1 + drop)) {
        drop++;
    }
    real_t real = {(uint32_t)(product >> drop), exponent + drop};
    uint64_t twice_rest = (product & (((uint64_t)1 << drop) - 1)) << 1;
    uint64_t unit = (uint64_t)1 << drop;
    return rounded(real, twice_rest > unit, twice_rest == unit);
}

/* a / b, bit by bit: cores without a divider, and native modules without libgcc's. */
static real_t quotient(real_t a, real_t b) {
    real_t real = {0, a.exponent - b.exponent - FRACTION_BITS};
    if (a.mantissa < b.mantissa) {
        a.mantissa <<= 1;
        real.exponent--;
    }
    for (int bit = 0; bit <= FRACTION_BITS; bit++) {
        real.mantissa <<= 1;
        if (a.mantissa >= b.mantissa) {
            a.mantissa -= b.mantissa;
            real.mantissa |= 1;
        }
        a.mantissa <<= 1; /* twice the remainder */
    }
    return rounded(real, a.mantissa > b.mantissa, a.mantissa == b.mantissa);
}

static uint32_t pack(real_t real, uint32_t too_large) {
    int32_t exponent = real.exponent + BIAS + FRACTION_BITS;
    if (exponent > LARGEST_EXPONENT) {
        return too_large;
    }
    return exponent < 1 ? 0 : ((uint32_t)exponent << FRACTION_BITS) | (real.mantissa & FRACTION_MASK);
}

uint32_t st_float_multiply(uint32_t a, uint32_t b) {
    real_t left = unpack(a);
    real_t right = unpack(b);
    return pack(round_product((uint64_t)left.mantissa * right.mantissa, left.exponent + right.exponent), 0);
}

uint32_t st_float_divide(uint32_t a, uint32_t b) {
    return pack(quotient(unpack(a), unpack(b)), 0);
}

uint32_t st_float_scaled(int32_t value, uint32_t scale) {
    uint32_t sign = value < 0 ? ST_FLOAT_SIGN : 0;
    real_t real = unpack(scale);
    if (value == 0) {
        return 0;
    }
    uint64_t product = (uint64_t)(uint32_t)(value < 0 ? -value : value) * real.mantissa;
    return sign | pack(round_product(product, real.exponent), ST_FLOAT_INFINITY);
}

/* The integer nearest to a quotient's magnitude. */
static int32_t nearest(real_t real) {
    int32_t drop = -real.exponent;
    if (drop > FRACTION_BITS + 2) { /* below a quarter */
        return 0;
    }
    if (drop < FRACTION_BITS + 1 - QUOTIENT_LIMIT_POWER) {
        return QUOTIENT_LIMIT;
    }
    return (int32_t)((real.mantissa + (1u << (drop - 1))) >> drop);
}

int32_t st_float_quotient(uint32_t x, uint32_t scale) {
    uint32_t magnitude = x & ~ST_FLOAT_SIGN;
    int32_t result = 0;
    if (magnitude == ST_FLOAT_INFINITY) {
        result = QUOTIENT_LIMIT;
    } else if (magnitude != 0 && magnitude < ST_FLOAT_INFINITY) {
        result = nearest(quotient(unpack(magnitude), unpack(scale)));
    }
    return x & ST_FLOAT_SIGN ? -result : result;
}
