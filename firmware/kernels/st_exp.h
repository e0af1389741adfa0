/* Exponential, logistic and hyperbolic tangent of 32-bit fixed point, by a short series and Newton's division.
 *
 * Reference: gemmlowp fixedpoint.h (exp_on_negative_values, logistic, tanh, one_over_one_plus_x_for_x_in_0_1),
 * which TensorFlow Lite Micro's int8 kernels call. */
#ifndef ST_EXP_H
#define ST_EXP_H

#include "st_common.h"

/* exp(x), Q0.31, of x <= 0 with 26 fractional bits (Q5.26). */
int32_t st_exp_q26(int32_t x);

/* 1 / (1 + x), Q0.31, of x in [0, 1), Q0.31. */
int32_t st_reciprocal_q31(int32_t x);

/* Of x with 27 fractional bits (Q4.27): Q0.31. */
int32_t st_logistic_q27(int32_t x);
int32_t st_tanh_q27(int32_t x);

#endif
