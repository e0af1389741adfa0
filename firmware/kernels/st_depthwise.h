/* Sums of a depthwise convolution at one position, taps of one row behind each other. */
#ifndef ST_DEPTHWISE_H
#define ST_DEPTHWISE_H

#include "st_common.h"

#define ST_DEPTHWISE_MAX_TAPS (8)

/* Inputs and weights: int8 [taps, depth]. The assembly reads this structure. */
typedef struct {
    const int8_t *x;
    const int8_t *weights;
    uint32_t *sums; /* [depth] */
    uint32_t depth; /* at least 1 */
    uint32_t taps;  /* 1 to ST_DEPTHWISE_MAX_TAPS */
    int32_t zero;   /* of x */
} st_depthwise_t;

/* sums[c] = sum of (x[t][c] - zero) * weights[t][c] over t. */
void st_depthwise_sums(const st_depthwise_t *op);

/* The same in plain C. */
void st_depthwise_naive(const st_depthwise_t *op);

#endif
