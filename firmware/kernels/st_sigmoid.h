/* Logistic and hyperbolic tangent of int16, by table and linear interpolation.
 *
 * Reference: tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h and tanh.h. */
#ifndef ST_SIGMOID_H
#define ST_SIGMOID_H

#include "st_common.h"

#define ST_SIGMOID_ENTRIES (256)

/* x: Q3.12. Returns Q0.15 in 0 ... 32767. */
int32_t st_sigmoid_q15(int32_t x);

/* x: int16 with the scale 2^power, -15 <= power <= -9. Returns Q0.15. */
int32_t st_tanh_q15(int32_t x, int32_t power);

#endif
