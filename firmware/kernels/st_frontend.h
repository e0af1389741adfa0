/* The front end: 16 kHz int16 samples to int8 log-mel features.
 *
 * Per frame of 400 samples every 160: remove the mean, pre-emphasise, Hann window, 512-point FFT,
 * 40 triangular mel bands (HTK's mel), log2(1 + power / 2^floor_log2) in Q5.10. Then a causal
 * running mean of each band is subtracted and three frames make one step. A silent frame is 0 in
 * every band. Constants: [frontend] of the spec. */
#ifndef ST_FRONTEND_H
#define ST_FRONTEND_H

#include "st_common.h"
#include "st_fft.h"

#define ST_FRONTEND_MAGIC (0x31454653u) /* "SFE1" */

/* State between calls; the layout is private. */
typedef struct {
    uint32_t magic;
    uint16_t buffered;                             /* samples held, 0 ... 399 */
    uint16_t stacked;                              /* frames held of the current step, 0 ... 2 */
    uint32_t mean_frames;                          /* weight of the running mean, in frames */
    int32_t mean[ST_FRONTEND_MEL_BANDS];           /* Q.16 */
    int16_t samples[ST_FRONTEND_FRAME_LENGTH];
    int8_t features[ST_FRONTEND_FEATURE_SIZE];     /* the current step */
    int32_t scratch[2 * ST_FFT_COMPLEX_POINTS];
} st_frontend_t;

/* Start a recording. prior: int16 [40], mean log-mel to begin with, Q5.10. */
void st_frontend_init(st_frontend_t *state, const int16_t *prior);

/* Steps that n more samples will complete. */
uint32_t st_frontend_steps(const st_frontend_t *state, uint32_t n);

/* Take in n samples and write the features of every step they complete: int8 [steps, 120], Q4.3,
 * frame by frame, band by band. Returns the steps. Any cutting of the samples into calls gives
 * the same features. */
uint32_t st_frontend_apply(st_frontend_t *state, const int16_t *samples, uint32_t n, int8_t *features);

/* Log-mel of one frame. samples: int16 [400]; log_mel: int16 [40], Q5.10; scratch: int32 [512]. */
void st_frontend_log_mel(const int16_t *samples, int16_t *log_mel, int32_t *scratch);

#endif
