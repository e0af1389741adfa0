/* A 512-point real FFT in 32-bit fixed point, made of a 256-point complex one. */
#ifndef ST_FFT_H
#define ST_FFT_H

#include "st_common.h"

#define ST_FFT_REAL_POINTS (512)
#define ST_FFT_COMPLEX_POINTS (256)
/* The sum of the magnitudes of all complex inputs must stay below this: no stage scales. */
#define ST_FFT_MAX_INPUT_SUM (1u << 28)

/* Where input point n (0 ... 255) of st_fft_complex belongs: its base-4 digits reversed. */
static inline uint32_t st_fft_slot(uint32_t n) {
    return ((n & 3u) << 6) | ((n & 12u) << 2) | ((n >> 2) & 12u) | (n >> 6);
}

/* In-place complex FFT, unscaled. data: int32 [256, 2] (real, imaginary), point n at row
 * st_fft_slot(n); the result is in natural order. Radix 4, decimation in time; twiddles Q15. */
void st_fft_complex(int32_t *data);

/* Turn the complex FFT of x[2n] + j x[2n + 1] into that of the 512 real x, in place: row k
 * becomes 2 X[k] for k = 1 ... 255. Row 0 is left alone. */
void st_fft_split_real(int32_t *data);

#endif
