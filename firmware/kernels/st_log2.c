#include "st_log2.h"

#include "st_tables.h"

/* Position of the highest set bit of a value that is not 0. Halving costs a fixed 5 steps: the
 * Cortex-M0+ has no instruction for it, and the front end asks 40 times a frame. */
static int highest_bit(uint32_t value) {
    int position = 0;
    for (int half = 16; half > 0; half >>= 1) {
        if (value >> half) {
            value >>= half;
            position += half;
        }
    }
    return position;
}

ST_HOT int32_t st_log2(uint32_t value) {
    int exponent = highest_bit(value);
    uint32_t mantissa = value << (31 - exponent); /* Q1.31 in [1, 2) */
    uint32_t interval = (mantissa >> 26) & 31u;
    int32_t rest = (int32_t)((mantissa >> 11) & 0x7fffu);
    int32_t base = st_log2_table[interval];
    int32_t rise = st_log2_table[interval + 1] - base;
    return (int32_t)((uint32_t)exponent << ST_LOG2_FRACTION_BITS) + base + ((rise * rest + (1 << 14)) >> 15);
}
