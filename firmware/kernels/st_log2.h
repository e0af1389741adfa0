/* Base-2 logarithm of integers. */
#ifndef ST_LOG2_H
#define ST_LOG2_H

#include "st_common.h"

#define ST_LOG2_FRACTION_BITS (15)

/* log2 of an integer that is not 0, Q.15. Interpolates in a table of 32 intervals: at most 0.0002
 * too small, never too large by more than a rounding. */
int32_t st_log2(uint32_t value);

#endif
