/* Base-2 logarithm of integers. */
#ifndef ST_LOG2_H
#define ST_LOG2_H

#include "st_common.h"

#define ST_LOG2_FRACTION_BITS (15)

/* log2 of the 64-bit integer high * 2^32 + low, Q.15; the integer must not be 0. Interpolates
 * in a table of 32 intervals: at most 0.0002 too small, never too large by more than a rounding. */
int32_t st_log2(uint32_t high, uint32_t low);

#endif
