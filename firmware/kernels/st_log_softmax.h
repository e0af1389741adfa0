/* Natural-log softmax of int8 logits, in integers. */
#ifndef ST_LOG_SOFTMAX_H
#define ST_LOG_SOFTMAX_H

#include "st_common.h"

#define ST_LOG_SOFTMAX_TABLE_ENTRIES (256)
#define ST_LOG_SOFTMAX_MAX_LOGITS (256)

/* Prepare for logits of one scale. scale_bits: the scale's IEEE-754 float32 bits, normal, positive
 * and below 8. table: int32 [256]; entry d becomes exp(-d scale), Q.23, for d >= 1. Entry 0, whose
 * exponential is 1, holds the scale itself, Q.20. Returns 0 or -ST_ERROR_ARGUMENT. */
st_status_t st_log_softmax_table(uint32_t scale_bits, int32_t *table);

/* log_probs[i] = log(softmax(logits * scale)[i]), int16 [n], Q5.10, clamped at -32; error below 2
 * in the last place. logits: int8 [n], 1 <= n <= 256. */
void st_log_softmax(const int8_t *logits, uint32_t n, const int32_t *table, int16_t *log_probs);

#endif
