/* The sum of two int8 tensors of different scales, element by element.
 *
 * Reference: tensorflow/lite/micro/kernels/add_common.cc, reference/add.h (left shift 20). */
#ifndef ST_ADD_H
#define ST_ADD_H

#include "st_scale.h"

#define ST_ADD_LEFT_SHIFT (20)

/* What an addition needs. The assembly reads the first five.
 *
 * With is_quick y is (a a_factor + b b_factor + offset) / 2^20, rounded down, unless that is so near to a whole number
 * that the reference's own roundings might decide otherwise. */
typedef struct {
    int32_t a_factor, b_factor, offset; /* Q20 */
    int32_t low, high;                  /* of y */
    int32_t a_zero, b_zero, y_zero;
    st_multiplier_t a_scale, b_scale, y_scale;
    int32_t is_quick;
} st_add_t;

/* Fill factors, offset and is_quick from the rest. */
void st_add_prepare(st_add_t *add);

/* One element as the reference computes it. */
int32_t st_add_one(const st_add_t *add, int32_t a, int32_t b);

/* y[i] = a[i a_step] + b[i b_step], for any scales. */
void st_add_naive(const st_add_t *add, const int8_t *a, uint32_t a_step, const int8_t *b, uint32_t b_step, int8_t *y,
                  uint32_t count);

/* The same with steps of 1 and is_quick; count at least 1. */
void st_add_run(const st_add_t *add, const int8_t *a, const int8_t *b, int8_t *y, uint32_t count);

#endif
