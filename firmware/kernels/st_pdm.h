/* A PDM microphone's bits to words for st_audio.c: [pdm] of the spec.
 *
 * 64 bits make a sample: a CIC filter of order 4 makes a value of every 16 bits, a symmetric FIR
 * filter of 64 taps, which also lifts what the CIC filter lets sag towards 8 kHz, a sample of every
 * four values. Reference: Hogenauer, An economical class of digital filters for decimation and
 * interpolation, 1981. */
#ifndef ST_PDM_H
#define ST_PDM_H

#include "st_common.h"

#define ST_PDM_MAGIC (0x314D4450u) /* "PDM1" */

/* State between calls; the layout is private. */
typedef struct {
    uint32_t magic;
    uint32_t integrators[ST_PDM_ORDER];
    uint32_t combs[ST_PDM_ORDER];
    uint32_t end;                    /* of what is valid in values */
    int16_t values[2 * ST_PDM_TAPS]; /* oldest first; moved when full, not for each sample */
} st_pdm_t;

/* Start from silence that was never on. */
void st_pdm_init(st_pdm_t *state);

/* Make n samples: words, uint32 [2 n], the earliest bit on top, to samples, int32 [n] in Q.31, all bits
 * one being full scale. samples may lie where words lie. */
void st_pdm_apply(st_pdm_t *state, const uint32_t *words, uint32_t n, uint32_t *samples);

#endif
