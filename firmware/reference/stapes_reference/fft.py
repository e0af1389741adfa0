"""A 512-point real FFT in 32-bit fixed point: the twin of st_fft.c."""

from .tables import SINE

COMPLEX_POINTS = 256
QUARTER = 128


def slot(n):
    """Return where input point n of fft_complex belongs: its four base-4 digits reversed."""
    return ((n & 3) << 6) | ((n & 12) << 2) | ((n >> 2) & 12) | (n >> 6)


def rotate(re, im, index):
    """Return (re, im) times exp(-2 pi j index / 512), rounded down. index: 0 ... 383."""
    cosine, sine = SINE[index + QUARTER], SINE[index]
    return (re * cosine + im * sine) >> 15, (im * cosine - re * sine) >> 15


def _butterfly(re, im, row, m, index):
    """One radix-4 butterfly on points row, row + m, ...; index turns the second of them."""
    ar, ai = re[row], im[row]
    br, bi = re[row + m], im[row + m]
    cr, ci = re[row + 2 * m], im[row + 2 * m]
    dr, di = re[row + 3 * m], im[row + 3 * m]
    if index:
        br, bi = rotate(br, bi, index)
        cr, ci = rotate(cr, ci, 2 * index)
        dr, di = rotate(dr, di, 3 * index)
    re[row], im[row] = ar + cr + br + dr, ai + ci + bi + di
    re[row + m], im[row + m] = ar - cr + bi - di, ai - ci - br + dr
    re[row + 2 * m], im[row + 2 * m] = ar + cr - br - dr, ai + ci - bi - di
    re[row + 3 * m], im[row + 3 * m] = ar - cr - bi + di, ai - ci + br - dr


def fft_complex(re, im):
    """Transform 256 complex points in place, unscaled.

    Args:
        re, im: int32 [256], point n at slot(n); afterwards in natural order. The sum of all
            magnitudes must stay below 2^28.
    """
    m = 1
    while m < COMPLEX_POINTS:
        for k in range(m):
            for row in range(k, COMPLEX_POINTS, 4 * m):
                _butterfly(re, im, row, m, k * (QUARTER // m))
        m *= 4


def split_real(re, im):
    """Turn the FFT of x[2n] + j x[2n + 1] into twice that of the real x, bins 1 ... 255, in place."""
    for k in range(1, COMPLEX_POINTS // 2):
        other = COMPLEX_POINTS - k
        even_re, even_im = re[k] + re[other], im[k] - im[other]
        turned_re, turned_im = rotate(re[k] - re[other], im[k] + im[other], k)
        re[k], im[k] = even_re + turned_im, even_im - turned_re
        re[other], im[other] = even_re - turned_im, -even_im - turned_re
    middle = COMPLEX_POINTS // 2
    re[middle], im[middle] = 2 * re[middle], -2 * im[middle]
