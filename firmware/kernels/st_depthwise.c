#include "st_depthwise.h"

void st_depthwise_naive(const st_depthwise_t *op) {
    for (uint32_t c = 0; c < op->depth; c++) {
        int32_t sum = 0;
        for (uint32_t at = c; at < op->taps * op->depth; at += op->depth) {
            sum += (op->x[at] - op->zero) * op->weights[at];
        }
        op->sums[c] = (uint32_t)sum;
    }
}

#if !defined(__ARM_ARCH_6M__) /* there: st_depthwise_m0.c */

void st_depthwise_sums(const st_depthwise_t *op) {
    st_depthwise_naive(op);
}

#endif
