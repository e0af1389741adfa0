"""A 512-point real FFT in fixed point: the twin of st_fft.c."""

from .tables import SINE

COMPLEX_POINTS = 256
QUARTER = 128


def slot(n):
    """Return where input point n of fft_complex belongs: its four base-4 digits reversed."""
    return ((n & 3) << 6) | ((n & 12) << 2) | ((n >> 2) & 12) | (n >> 6)


def rotate(re, im, index, shift):
    """Return (re, im) times exp(-2 pi j index / 512) 2^(14 - shift), rounded. index: 0 ... 383."""
    cosine, sine, half = SINE[index + QUARTER], SINE[index], 1 << (shift - 1)
    return (re * cosine + im * sine + half) >> shift, (im * cosine - re * sine + half) >> shift


def _quarter(re, im, row, index):
    """Return point row divided by 4, turned by index."""
    quarter_re, quarter_im = (re[row] + 2) >> 2, (im[row] + 2) >> 2
    return rotate(quarter_re, quarter_im, index, 14) if index else (quarter_re, quarter_im)


def _butterfly(re, im, row, m, index):
    """One radix-4 butterfly on points row, row + m, ...; index turns the second of them."""
    if m == 1:
        (ar, br, cr, dr), (ai, bi, ci, di) = re[row : row + 4], im[row : row + 4]
    else:
        ar, ai = _quarter(re, im, row, 0)
        br, bi = _quarter(re, im, row + m, index)
        cr, ci = _quarter(re, im, row + 2 * m, 2 * index)
        dr, di = _quarter(re, im, row + 3 * m, 3 * index)
    re[row], im[row] = ar + cr + br + dr, ai + ci + bi + di
    re[row + m], im[row + m] = ar - cr + bi - di, ai - ci - br + dr
    re[row + 2 * m], im[row + 2 * m] = ar + cr - br - dr, ai + ci - bi - di
    re[row + 3 * m], im[row + 3 * m] = ar - cr - bi + di, ai - ci + br - dr


def fft_complex(re, im):
    """Transform 256 complex points in place, and divide by 2^6.

    Args:
        re, im: int32 [256] in -2^16 ... 2^16 - 1, point n at slot(n); afterwards in natural order.
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
        turned_re, turned_im = rotate((re[k] - re[other] + 4) >> 3, (im[k] + im[other] + 4) >> 3, k, 11)
        re[k], im[k] = even_re + turned_im, even_im - turned_re
        re[other], im[other] = even_re - turned_im, -even_im - turned_re
    middle = COMPLEX_POINTS // 2
    re[middle], im[middle] = 2 * re[middle], -2 * im[middle]
