"""Make another speaker of one: pitch and formants changed by themselves, the tempo kept.

Pitch: the recording is stretched in time (overlap-add of similar segments) and resampled back to
its length, which moves pitch and formants together. Formants: every 32 ms frame's spectral
envelope (linear prediction) is replaced by the same envelope with its frequency axis warped. About
a thousand times real time on one core.

References: W. Verhelst and M. Roelands, An overlap-add technique based on waveform similarity
(WSOLA), ICASSP 1993; N. Jaitly and G. Hinton, Vocal tract length perturbation, ICML 2013.
"""

from fractions import Fraction

import numpy as np
import scipy.fft
import stapes_spec
from scipy.signal import resample_poly

SAMPLE_RATE = stapes_spec.AUDIO_SAMPLE_RATE_HZ

_HOP = 320  # 20 ms: segments of the stretched signal
_SEARCH = 96  # samples to either side in which the most similar segment is looked for
_FADE_IN = np.hanning(2 * _HOP + 1)[:_HOP].astype(np.float32)
_FADE_OUT = _FADE_IN[::-1].copy()

_FRAME = 512
_HALF = _FRAME // 2
_WINDOW = np.sqrt(np.hanning(_FRAME + 1)[:-1]).astype(np.float32)
_ORDER = 18  # of linear prediction: eight formants in 8 kHz, and the spectrum's tilt
_EMPHASIS = 0.9
_BANDWIDTH_HZ = 40.0  # by which peaks of the envelope are widened, so that it does not follow single harmonics
_WARP_EDGE = 0.6  # of the band: formants below are scaled, the rest is squeezed or spread up to the band's end
_GAIN_LIMIT = 10.0
_FINER = 2  # the envelope is computed at so many points per bin, and read between them


def change_voice(x: np.ndarray, semitones: float, formants: float) -> np.ndarray:
    """Change pitch and formants, each by itself.

    Args:
        x: float32 [n], 16 kHz.
        semitones: of the pitch, -12 to 12; steps below 1/3 of a semitone may be lost.
        formants: factor of the formants' frequencies, 0.7 to 1.4; above one: a shorter vocal tract.
    Returns:
        float32 [n].
    """
    ratio = Fraction(2 ** (semitones / 12)).limit_denominator(50)
    if ratio != 1:
        x = _shift(x, ratio)
    warp = formants / float(ratio)
    return warp_formants(x, warp) if abs(warp - 1) > 1e-3 else x


def _shift(x: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Pitch and formants times ratio."""
    shifted = resample_poly(stretch(x, float(ratio)), ratio.denominator, ratio.numerator).astype(np.float32)
    return np.pad(shifted[: x.size], (0, max(0, x.size - shifted.size)))


def stretch(x: np.ndarray, factor: float) -> np.ndarray:
    """Change the tempo alone: float32 [n] -> [round(n * factor)].

    Every segment is taken, within 6 ms of its place, where it best goes on from the one before.
    """
    length = round(x.size * factor)
    count = -(-length // _HOP)
    room = 2 * _HOP + 2 * _SEARCH
    padded = np.concatenate([np.zeros(_SEARCH, np.float32), x, np.zeros(room + int(_HOP / factor), np.float32)])
    energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    out = np.empty((count + 1) * _HOP, np.float32)
    at = _SEARCH
    out[:_HOP] = padded[at : at + _HOP]
    for index in range(1, count + 1):
        place = min(int(index * _HOP / factor), padded.size - room)
        expected = padded[at + _HOP : at + 2 * _HOP]
        at = place + _most_similar(padded[place : place + _HOP + 2 * _SEARCH], expected, energy[place:])
        segment = out[index * _HOP : (index + 1) * _HOP]
        np.multiply(expected, _FADE_OUT, out=segment)
        segment += padded[at : at + _HOP] * _FADE_IN
    return out[:length]


def _most_similar(within: np.ndarray, wanted: np.ndarray, energy: np.ndarray) -> int:
    """Where wanted, float32 [m], correlates best with a stretch of within, float32 [n]; energy: running sums."""
    score = np.correlate(within, wanted)
    power = energy[wanted.size : wanted.size + score.size] - energy[: score.size]
    return int(np.argmax(score / np.sqrt(power + 1e-6)))


def warp_formants(x: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the frequencies of the spectral envelope by factor; pitch and level of every frame stay.

    Args:
        x: float32 [n], 16 kHz.
        factor: see change_voice.
    """
    frames = -(-(x.size + _FRAME) // _HALF) + 1
    padded = np.zeros((frames + 1) * _HALF, np.float32)
    padded[_HALF : _HALF + x.size] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HALF]
    spectra = scipy.fft.rfft(windows * _WINDOW, axis=1)
    spectra *= _gains(spectra.real**2 + spectra.imag**2, factor)
    parts = scipy.fft.irfft(spectra, axis=1).astype(np.float32) * _WINDOW
    halves = np.zeros((frames + 1, _HALF), np.float32)
    halves[:-1] += parts[:, :_HALF]
    halves[1:] += parts[:, _HALF:]
    return halves.ravel()[_HALF : _HALF + x.size]


def _gains(power: np.ndarray, factor: float) -> np.ndarray:
    """float32 [frames, bins]: warped envelope over envelope, level kept; power: float32 [frames, bins]."""
    bins = np.arange(_HALF + 1)
    emphasis = (1 + _EMPHASIS**2 - 2 * _EMPHASIS * np.cos(2 * np.pi * bins / _FRAME)).astype(np.float32)
    inverse = np.abs(scipy.fft.rfft(_linear_prediction(power * emphasis), _FINER * _FRAME, axis=1))
    gains = inverse[:, ::_FINER] / _between(inverse, _FINER * _warped(bins, factor))
    gains = np.clip(gains, 1 / _GAIN_LIMIT, _GAIN_LIMIT)
    kept = power.sum(axis=1) / ((power * gains**2).sum(axis=1) + 1e-12)
    return gains * np.sqrt(kept)[:, None]


def _between(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 [n, columns.size]: rows, float32 [n, m], at fractional columns."""
    left = np.minimum(columns.astype(int), rows.shape[1] - 2)
    share = (columns - left).astype(np.float32)
    return rows[:, left] * (1 - share) + rows[:, left + 1] * share


def _warped(bins: np.ndarray, factor: float) -> np.ndarray:
    """Where the envelope at each bin comes from: bin / factor up to an edge, then straight to the band's end."""
    edge = _WARP_EDGE * _HALF * min(factor, 1.0)
    slope = (_HALF - edge / factor) / (_HALF - edge)
    return np.where(bins <= edge, bins / factor, _HALF - slope * (_HALF - bins))


def _linear_prediction(power: np.ndarray) -> np.ndarray:
    """Prediction filters of power spectra by Levinson's and Durbin's recursion, all frames at once.

    Args:
        power: float32 [frames, bins].
    Returns:
        float32 [frames, order + 1], the first of each is one.
    """
    lags = scipy.fft.irfft(power, axis=1)[:, : _ORDER + 1].astype(np.float64)
    lags *= np.exp(-0.5 * (2 * np.pi * _BANDWIDTH_HZ / SAMPLE_RATE * np.arange(_ORDER + 1)) ** 2)
    lags[:, 0] = lags[:, 0] * (1 + 1e-4) + 1e-9
    filters = np.zeros_like(lags)
    filters[:, 0] = 1.0
    error = lags[:, 0].copy()
    for order in range(1, _ORDER + 1):
        reflection = -np.einsum("ij,ij->i", filters[:, :order], lags[:, order:0:-1]) / error
        filters[:, 1 : order + 1] += reflection[:, None] * filters[:, order - 1 :: -1][:, :order]
        error *= 1 - reflection**2
    return filters.astype(np.float32)
