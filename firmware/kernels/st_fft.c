#include "st_fft.h"

#include "st_tables.h"

#define QUARTER (ST_FFT_REAL_POINTS / 4)

typedef struct {
    int32_t re, im;
} complex_t;

/* value * exp(-2 pi j index / 512), rounded down. The cores we serve multiply 32 x 32 -> 32 bits,
 * so the value is taken in two pieces; the sum is exact. |value| < 2^29, index < 384. */
static inline complex_t rotate(complex_t value, uint32_t index) {
    int32_t cosine = st_sine_table[index + QUARTER];
    int32_t sine = st_sine_table[index];
    int32_t re_high = value.re >> 13, re_low = value.re & 0x1fff;
    int32_t im_high = value.im >> 13, im_low = value.im & 0x1fff;
    complex_t out;
    out.re = (re_high * cosine + im_high * sine + ((re_low * cosine + im_low * sine) >> 13)) >> 2;
    out.im = (im_high * cosine - re_high * sine + ((im_low * cosine - re_low * sine) >> 13)) >> 2;
    return out;
}

/* One radix-4 butterfly on rows 0, m, 2m, 3m, whose twiddles are already applied to b, c, d. */
static inline void butterfly(complex_t *row, uint32_t m, complex_t b, complex_t c, complex_t d) {
    complex_t a = row[0];
    complex_t even_sum = {a.re + c.re, a.im + c.im}, even_difference = {a.re - c.re, a.im - c.im};
    complex_t odd_sum = {b.re + d.re, b.im + d.im}, odd_difference = {b.re - d.re, b.im - d.im};
    row[0].re = even_sum.re + odd_sum.re;
    row[0].im = even_sum.im + odd_sum.im;
    row[m].re = even_difference.re + odd_difference.im;
    row[m].im = even_difference.im - odd_difference.re;
    row[2 * m].re = even_sum.re - odd_sum.re;
    row[2 * m].im = even_sum.im - odd_sum.im;
    row[3 * m].re = even_difference.re - odd_difference.im;
    row[3 * m].im = even_difference.im + odd_difference.re;
}

ST_HOT void st_fft_complex(int32_t *data) {
    complex_t *rows = (complex_t *)data;
    complex_t *end = rows + ST_FFT_COMPLEX_POINTS;
    for (uint32_t m = 1, turn = QUARTER; m < ST_FFT_COMPLEX_POINTS; m *= 4, turn /= 4) {
        for (complex_t *row = rows; row < end; row += 4 * m) {
            butterfly(row, m, row[m], row[2 * m], row[3 * m]);
        }
        for (uint32_t k = 1; k < m; k++) {
            uint32_t index = k * turn;
            for (complex_t *row = rows + k; row < end; row += 4 * m) {
                butterfly(row, m, rotate(row[m], index), rotate(row[2 * m], 2 * index), rotate(row[3 * m], 3 * index));
            }
        }
    }
}

ST_HOT void st_fft_split_real(int32_t *data) {
    complex_t *rows = (complex_t *)data;
    for (uint32_t k = 1; k < ST_FFT_COMPLEX_POINTS / 2; k++) {
        complex_t a = rows[k], b = rows[ST_FFT_COMPLEX_POINTS - k];
        complex_t even = {a.re + b.re, a.im - b.im};
        complex_t odd = {a.re - b.re, a.im + b.im};
        complex_t turned = rotate(odd, k);
        rows[k].re = even.re + turned.im;
        rows[k].im = even.im - turned.re;
        rows[ST_FFT_COMPLEX_POINTS - k].re = even.re - turned.im;
        rows[ST_FFT_COMPLEX_POINTS - k].im = -even.im - turned.re;
    }
    complex_t *middle = &rows[ST_FFT_COMPLEX_POINTS / 2];
    middle->re = 2 * middle->re;
    middle->im = -2 * middle->im;
}
