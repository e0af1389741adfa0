#include "st_fft.h"

#include "st_tables.h"

#define QUARTER (ST_FFT_REAL_POINTS / 4)

typedef st_complex_t complex_t;

/* value / 4, rounded: what keeps the values of every stage to 17 bits and sign. */
static inline complex_t quarter(complex_t value) {
    complex_t out = {(value.re + 2) >> 2, (value.im + 2) >> 2};
    return out;
}

/* exp(-2 pi j index / 512), index < 384. */
static inline st_twiddle_t twiddle(uint32_t index) {
    st_twiddle_t turn = {st_sine_table[index + QUARTER], st_sine_table[index]};
    return turn;
}

/* value * turn * 2^(14 - shift), rounded. |value| < 2^16.5. */
static inline complex_t rotate(complex_t value, st_twiddle_t turn, int shift) {
    complex_t out;
    out.re = (value.re * turn.cosine + value.im * turn.sine + (1 << (shift - 1))) >> shift;
    out.im = (value.im * turn.cosine - value.re * turn.sine + (1 << (shift - 1))) >> shift;
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

void st_fft_rows_naive(complex_t *row, const complex_t *end, uint32_t bytes, const st_twiddle_t turns[3]) {
    uint32_t m = bytes / sizeof(*row);
    for (; row < end; row += 4 * m) {
        complex_t b = rotate(quarter(row[m]), turns[1], 14);
        complex_t c = rotate(quarter(row[2 * m]), turns[0], 14);
        complex_t d = rotate(quarter(row[3 * m]), turns[2], 14);
        butterfly(row, m, quarter(row[0]), b, c, d);
    }
}

#if !defined(__ARM_ARCH_6M__) /* there: st_fft_m0.c */

void st_fft_rows(complex_t *row, const complex_t *end, uint32_t bytes, const st_twiddle_t turns[3]) {
    st_fft_rows_naive(row, end, bytes, turns);
}

#endif

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
            const st_twiddle_t turns[3] = {twiddle(2 * index), twiddle(index), twiddle(3 * index)};
            st_fft_rows(rows + k, end, m * (uint32_t)sizeof(*rows), turns);
        }
    }
}

ST_HOT void st_fft_split_real(int32_t *data) {
    complex_t *rows = (complex_t *)data;
    for (uint32_t k = 1; k < ST_FFT_COMPLEX_POINTS / 2; k++) {
        complex_t a = rows[k], b = rows[ST_FFT_COMPLEX_POINTS - k];
        complex_t even = {a.re + b.re, a.im - b.im};
        complex_t odd = {(a.re - b.re + 4) >> 3, (a.im + b.im + 4) >> 3};
        complex_t turned = rotate(odd, twiddle(k), 11); /* times 8: what odd was divided by */
        rows[k].re = even.re + turned.im;
        rows[k].im = even.im - turned.re;
        rows[ST_FFT_COMPLEX_POINTS - k].re = even.re - turned.im;
        rows[ST_FFT_COMPLEX_POINTS - k].im = -even.im - turned.re;
    }
    complex_t *middle = &rows[ST_FFT_COMPLEX_POINTS / 2];
    middle->re = 2 * middle->re;
    middle->im = -2 * middle->im;
}
