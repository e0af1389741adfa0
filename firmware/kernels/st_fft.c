#include "st_fft.h"

#include "st_tables.h"

#define QUARTER (ST_FFT_REAL_POINTS / 4)

typedef struct {
    int32_t re, im;
} complex_t;

/* value / 4, rounded: what keeps the values of every stage to 17 bits and sign. */
static inline complex_t quarter(complex_t value) {
    complex_t out = {(value.re + 2) >> 2, (value.im + 2) >> 2};
    return out;
}

/* value * exp(-2 pi j index / 512) * 2^(14 - shift), rounded. |value| < 2^16.5, index < 384. */
static inline complex_t rotate(complex_t value, uint32_t index, int shift) {
    int32_t cosine = st_sine_table[index + QUARTER];
    int32_t sine = st_sine_table[index];
    complex_t out;
    out.re = (value.re * cosine + value.im * sine + (1 << (shift - 1))) >> shift;
    out.im = (value.im * cosine - value.re * sine + (1 << (shift - 1))) >> shift;
    return out;
}

/* One radix-4 butterfly: the transform of a, b, c, d to rows 0, m, 2m, 3m. */
static inline void butterfly(complex_t *row, uint32_t m, complex_t a, complex_t b, complex_t c, complex_t d) {
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
    for (complex_t *row = rows; row < end; row += 4) {
        butterfly(row, 1, row[0], row[1], row[2], row[3]);
    }
    for (uint32_t m = 4, turn = QUARTER / 4; m < ST_FFT_COMPLEX_POINTS; m *= 4, turn /= 4) {
        for (complex_t *row = rows; row < end; row += 4 * m) {
            butterfly(row, m, quarter(row[0]), quarter(row[m]), quarter(row[2 * m]), quarter(row[3 * m]));
        }
        for (uint32_t k = 1; k < m; k++) {
            uint32_t index = k * turn;
            for (complex_t *row = rows + k; row < end; row += 4 * m) {
                complex_t b = rotate(quarter(row[m]), index, 14);
                complex_t c = rotate(quarter(row[2 * m]), 2 * index, 14);
                complex_t d = rotate(quarter(row[3 * m]), 3 * index, 14);
                butterfly(row, m, quarter(row[0]), b, c, d);
            }
        }
    }
}

ST_HOT void st_fft_split_real(int32_t *data) {
    complex_t *rows = (complex_t *)data;
    for (uint32_t k = 1; k < ST_FFT_COMPLEX_POINTS / 2; k++) {
        complex_t a = rows[k], b = rows[ST_FFT_COMPLEX_POINTS - k];
        complex_t even = {a.re + b.re, a.im - b.im};
        complex_t odd = {(a.re - b.re + 4) >> 3, (a.im + b.im + 4) >> 3};
        complex_t turned = rotate(odd, k, 11); /* times 8: what odd was divided by */
        rows[k].re = even.re + turned.im;
        rows[k].im = even.im - turned.re;
        rows[ST_FFT_COMPLEX_POINTS - k].re = even.re - turned.im;
        rows[ST_FFT_COMPLEX_POINTS - k].im = -even.im - turned.re;
    }
    complex_t *middle = &rows[ST_FFT_COMPLEX_POINTS / 2];
    middle->re = 2 * middle->re;
    middle->im = -2 * middle->im;
}
