/* A 512-point real FFT in fixed point, made of a 256-point complex one.
 *
 * Every product is one 32-bit multiplication of a 17-bit value and a Q14 twiddle: what the cores we
 * serve do in one instruction. Rounding leaves noise about 100 dB below the strongest line. */
#ifndef ST_FFT_H
#define ST_FFT_H

#include "st_common.h"

#define ST_FFT_REAL_POINTS (512)
#define ST_FFT_COMPLEX_POINTS (256)
/* Inputs lie in -ST_FFT_INPUT_LIMIT ... ST_FFT_INPUT_LIMIT - 1. */
#define ST_FFT_INPUT_LIMIT (1 << 16)
/* The result is the transform divided by 2^ST_FFT_SHIFT: three of the four stages divide by 4. */
#define ST_FFT_SHIFT (6)

/* Where input point n (0 ... 255) of st_fft_complex belongs, its slot: n's base-4 digits reversed. From the slot of n that
 * of n + 1: the carry goes down. */
static inline uint32_t st_fft_next_slot(uint32_t slot) {
    slot += 64;
    if (slot >= 256) {
        slot -= 256 - 16;
        if (slot >= 64) {
            slot -= 64 - 4;
            if (slot >= 16) {
                slot -= 16 - 1;
            }
        }
    }
    return slot;
}

/* In-place complex FFT. data: int32 [256, 2] (real, imaginary), point n at its slot; the
 * result is in natural order. Radix 4, decimation in time. */
void st_fft_complex(int32_t *data);

typedef struct {
    int32_t re, im;
} st_complex_t;

/* A point of the unit circle, Q14. */
typedef struct {
    int32_t cosine, sine;
} st_twiddle_t;

/* Of one stage, the butterflies that share their twiddles: from a row on to the end, bytes between a butterfly's points.
 * turns: of its third, second and fourth point, in this order. */
void st_fft_rows(st_complex_t *row, const st_complex_t *end, uint32_t bytes, const st_twiddle_t turns[3]);

/* The same in plain C. */
void st_fft_rows_naive(st_complex_t *row, const st_complex_t *end, uint32_t bytes, const st_twiddle_t turns[3]);

/* Turn the complex FFT of x[2n] + j x[2n + 1] into that of the 512 real x, in place: row k
 * becomes 2 X[k] for k = 1 ... 255. Row 0 is left alone. */
void st_fft_split_real(int32_t *data);

#endif
