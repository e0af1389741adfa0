#include "st_log_softmax.h"

#include "st_fixed.h"
#include "st_log2.h"

#define EXP_BITS (23)
#define SCALE_BITS (20)
#define LN2_Q15 (22713)
#define THIRD_Q31 (715827883u)
#define FLOOR_NATS (33) /* more than the output can hold */

/* a * b of two unsigned Q1.31 numbers, rounded down. */
static uint32_t multiply_q31(uint32_t a, uint32_t b) {
    return (uint32_t)(((uint64_t)a * b) >> 31);
}

/* exp(-x), Q1.31, of x in Q28, 0 <= x < 8: four terms of Taylor's series at x / 256 < 1 / 32, whose
 * remainder is below 2^-31, then eight squarings. */
static uint32_t exp_negative(uint32_t x) {
    uint32_t t = x >> 5; /* x / 256, Q31 */
    uint32_t t2 = multiply_q31(t, t) >> 1;
    uint32_t t3 = multiply_q31(multiply_q31(t2, t), THIRD_Q31);
    uint32_t t4 = multiply_q31(t3, t) >> 2;
    uint32_t power = (1u << 31) - t + t2 - t3 + t4;
    for (int i = 0; i < 8; i++) {
        power = multiply_q31(power, power);
    }
    return power;
}

/* A float32 given by its bits, as Q28: positive, normal, below 8; anything else gives 0. */
static uint32_t float_to_q28(uint32_t bits) {
    uint32_t exponent = bits >> 23; /* sign included: a negative number is out of range */
    uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
    if (exponent == 0 || exponent > 129) {
        return 0;
    }
    if (exponent >= 122) {
        return mantissa << (exponent - 122);
    }
    uint32_t right = 122 - exponent;
    return right < 24 ? mantissa >> right : 1; /* a scale as small as this counts as 2^-28 */
}

st_status_t st_log_softmax_table(uint32_t scale_bits, int32_t *table) {
    uint32_t scale = float_to_q28(scale_bits);
    if (scale == 0) {
        return -ST_ERROR_ARGUMENT;
    }
    uint32_t ratio = exp_negative(scale);
    uint32_t power = 1u << 31;
    table[0] = (int32_t)((scale + 128) >> (28 - SCALE_BITS));
    for (int d = 1; d < ST_LOG_SOFTMAX_TABLE_ENTRIES; d++) {
        power = multiply_q31(power, ratio);
        table[d] = (int32_t)((power + 128) >> (31 - EXP_BITS));
    }
    return 0;
}

ST_HOT void st_log_softmax(const int8_t *logits, uint32_t n, const int32_t *table, int16_t *log_probs) {
    int32_t largest = INT8_MIN;
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        largest = ST_MAX(largest, logits[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        int32_t below = largest - logits[i];
        sum += below ? (uint32_t)table[below] : 1u << EXP_BITS;
    }
    int32_t log2_sum = (st_log2(sum) - (EXP_BITS << ST_LOG2_FRACTION_BITS)) >> 2; /* Q13 */
    int32_t log_sum = (log2_sum * LN2_Q15 + (1 << 7)) >> 8;                          /* Q20 */
    for (uint32_t i = 0; i < n; i++) {
        int32_t nats = ST_MIN((largest - logits[i]) * table[0], FLOOR_NATS << SCALE_BITS);
        int32_t rounded = (-nats - log_sum + (1 << 9)) >> (SCALE_BITS - 10);
        log_probs[i] = (int16_t)st_saturate_i16(rounded);
    }
}
