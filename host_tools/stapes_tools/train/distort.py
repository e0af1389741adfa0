"""Speech said less clearly and by others, made anew for every batch from features that are there.

What a corpus cannot have enough of - people - is stood in for by changing the spectra of those it has: warped along
the frequencies as by another vocal tract, smeared in time as by a lazy tongue or a room, smeared over frequencies as by
a breathy voice, and coloured as by another microphone. Teachers hear what was there, or (distort_teachers) the same as
their student, as L. Beyer et al., Knowledge distillation: a good teacher is patient and consistent, CVPR 2022, advise.

Reference: N. Jaitly, G. E. Hinton, Vocal Tract Length Perturbation (VTLP) improves speech recognition, ICML workshop
2013, for the warp; here it is along the mel bands, after the noise.
"""

import numpy as np
import stapes_spec as spec

from stapes_tools.train.batches import Batch
from stapes_tools.train.data import FEATURE_SIZE

# At a strength of 1: standard deviations, or the most that a smear's may be. Half of the utterances get each.
_WARP = 0.06
_SMEAR_FRAMES = 1.5
_SMEAR_BANDS = 1.0
_COLOUR = 6.0  # of Q4.3: 0.75 in log2 of power, 2.3 dB
_REACH = 4
_SHARE = 0.5


def distort(batch: Batch, rng: np.random.Generator, strength: float, *, beside: bool = True) -> Batch:
    """Change every utterance in its own way, and keep what it was beside it.

    Args:
        batch: features int8 [B, T, 120], Q4.3; or wider, then what stands beside them stays there.
        rng: of the changes.
        strength: of all of them, 1 as above.
        beside: whether what it was is kept, for teachers.
    Returns:
        features int8 [B, T, 240]: changed, then as they were (or what stood there); [B, T, 120] if neither is.
    """
    heard, stood = batch.features[..., :FEATURE_SIZE], batch.features[..., FEATURE_SIZE:]
    size, steps, _ = heard.shape
    frames = heard.reshape(size, steps * spec.FRONTEND_STACK, spec.FRONTEND_MEL_BANDS).astype(np.float32)
    for row in range(size):
        used = int(batch.steps[row]) * spec.FRONTEND_STACK
        frames[row, :used] = _distorted(frames[row, :used], rng, strength)
    changed = np.clip(np.rint(frames), -128, 127).astype(np.int8).reshape(heard.shape)
    kept = heard if beside and not stood.shape[-1] else stood
    return Batch(np.concatenate([changed, kept], axis=-1), batch.labels, batch.steps, batch.units)


def _distorted(frames: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """float32 [frames, bands] -> the same shape."""
    warp, smear_frames, smear_bands, colour = rng.random(4) < _SHARE
    if warp:
        frames = warped(frames, float(np.exp(strength * _WARP * rng.standard_normal())))
    if smear_frames:
        frames = smeared(frames, strength * _SMEAR_FRAMES * rng.random(), axis=0)
    if smear_bands:
        frames = smeared(frames, strength * _SMEAR_BANDS * rng.random(), axis=1)
    if colour:
        frames = frames + coloration(rng, strength * _COLOUR)
    return frames


def warped(frames: np.ndarray, factor: float) -> np.ndarray:
    """Band k becomes what was at band factor * k, between bands linearly; the last ones where there is no more.

    frames: float32 [frames, bands].
    """
    at = np.minimum(factor * np.arange(spec.FRONTEND_MEL_BANDS, dtype=np.float32), spec.FRONTEND_MEL_BANDS - 1)
    low = np.minimum(at.astype(int), spec.FRONTEND_MEL_BANDS - 2)
    share = at - low
    return frames[:, low] * (1 - share) + frames[:, low + 1] * share


def smeared(frames: np.ndarray, deviation: float, axis: int) -> np.ndarray:
    """Convolved with a Gaussian of that standard deviation, in frames or bands; the edges go on as they are."""
    if deviation < 0.1:
        return frames
    reach = np.arange(-_REACH, _REACH + 1)
    kernel = np.exp(-0.5 * (reach / deviation) ** 2)
    kernel /= kernel.sum()
    pads = [(_REACH, _REACH) if k == axis else (0, 0) for k in range(2)]
    padded = np.pad(frames, pads, mode="edge")
    length = frames.shape[axis]
    parts = (weight * np.take(padded, range(k, k + length), axis) for k, weight in enumerate(kernel))
    return np.asarray(sum(parts), np.float32)


def coloration(rng: np.random.Generator, deviation: float) -> np.ndarray:
    """float32 [bands]: a smooth curve, the sum of half a cosine and a whole one."""
    phase = np.pi * np.arange(spec.FRONTEND_MEL_BANDS) / (spec.FRONTEND_MEL_BANDS - 1)
    half, whole = rng.standard_normal(2)
    return np.asarray(deviation * (half * np.cos(phase) + 0.5 * whole * np.cos(2 * phase)), np.float32)
