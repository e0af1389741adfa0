#include "st_exp.h"

#include "st_fixed.h"

#define Q31_ONE (INT32_MAX)
#define Q29_ONE (1 << 29)
#define EXP_MINUS_EIGHTH (1895147668) /* Q0.31 */
#define THIRD (715827883)             /* Q0.31 */
#define SEED_CONSTANT (1515870810)    /* 48/17, Q2.29 */
#define SEED_SLOPE (-1010580540)      /* -32/17, Q2.29 */
#define NEWTON_STEPS (3)

/* exp(x) for x in [-1/4, 0), Q0.31: the series around -1/8. */
static int32_t exp_of_quarter(int32_t x) {
    x += 1 << 28;
    int32_t x2 = st_rounding_high_mul(x, x);
    int32_t x3 = st_rounding_high_mul(x2, x);
    int32_t x4 = st_rounding_high_mul(x2, x2);
    int32_t tail = st_rounding_high_mul(st_rounding_divide_by_pot(x4, 2) + x3, THIRD) + x2;
    return EXP_MINUS_EIGHTH + st_rounding_high_mul(EXP_MINUS_EIGHTH, x + st_rounding_divide_by_pot(tail, 1));
}

/* exp(x), Q0.31, of x <= 0 with 26 or 27 fractional bits. */
static int32_t exp_of_negative(int32_t x, int fraction_bits) {
    /* exp(-1/4), exp(-1/2), exp(-1) ... exp(-16), Q0.31. */
    static const int32_t powers[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    int32_t quarter = 1 << (fraction_bits - 2);
    int32_t rest = (x & (quarter - 1)) - quarter;
    int32_t multiple = rest - x; /* of a quarter */
    int32_t result = exp_of_quarter(rest * (1 << (31 - fraction_bits)));
    if (x == 0) {
        return Q31_ONE;
    }
    for (int k = 0; fraction_bits - 2 + k < 31; k++) {
        if (multiple & (int32_t)(1u << (fraction_bits - 2 + k))) {
            result = st_rounding_high_mul(result, powers[k]);
        }
    }
    return result;
}

int32_t st_exp_q26(int32_t x) {
    return exp_of_negative(x, 26);
}

/* 1 / ((1 + x) / 2), Q2.29: Newton's division, https://en.wikipedia.org/wiki/Division_algorithm */
static int32_t divide(int32_t x) {
    int32_t half = (int32_t)(((uint32_t)x + (uint32_t)Q31_ONE + 1u) >> 1);
    int32_t y = SEED_CONSTANT + st_rounding_high_mul(half, SEED_SLOPE);
    for (int i = 0; i < NEWTON_STEPS; i++) {
        int32_t error = Q29_ONE - st_rounding_high_mul(half, y);
        y += st_rounding_high_mul(y, error) * 4;
    }
    return y;
}

int32_t st_reciprocal_q31(int32_t x) {
    int32_t y = divide(x);
    return y > INT32_MAX / 2 ? INT32_MAX : y * 2;
}

int32_t st_logistic_q27(int32_t x) {
    if (x == 0) {
        return 1 << 30;
    }
    int32_t positive = st_reciprocal_q31(exp_of_negative(x > 0 ? -x : x, 27));
    return x > 0 ? positive : Q31_ONE - positive;
}

int32_t st_tanh_q27(int32_t x) {
    if (x == 0) {
        return 0;
    }
    /* The same bits with one fractional bit less are twice the value. */
    int32_t y = divide(exp_of_negative(x > 0 ? -x : x, 26)) - Q29_ONE;
    int32_t result = y > INT32_MAX / 4 ? INT32_MAX : y * 4;
    return x > 0 ? result : -result;
}
