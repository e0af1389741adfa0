/* Arithmetic on the bits of IEEE-754 float32, with integers only: rounded to nearest, ties to even, as a
 * processor does.
 *
 * Reference: IEEE 754-2019, 4.3.1 and 5.4.1. */
#ifndef ST_FLOAT_H
#define ST_FLOAT_H

#include "st_common.h"

#define ST_FLOAT_SIGN (0x80000000u)
#define ST_FLOAT_INFINITY (0x7F800000u)
#define ST_FLOAT_ONE (0x3F800000u)
#define ST_FLOAT_SIX (0x40C00000u)

/* a * b and a / b of two positive normal floats; 0 when the result is not a positive normal float. */
uint32_t st_float_multiply(uint32_t a, uint32_t b);
uint32_t st_float_divide(uint32_t a, uint32_t b);

/* value * scale; value: up to 2^24 in magnitude, scale: a positive normal float. Infinite when it is too large. */
uint32_t st_float_scaled(int32_t value, uint32_t scale);

/* x / scale as a float, rounded to an integer, ties away from zero, and limited to +-512: what an int8 tensor can
 * tell apart. x: any float; not-a-number counts as 0. scale: a positive normal float. */
int32_t st_float_quotient(uint32_t x, uint32_t scale);

#endif
