"""Features of whole recordings, by the kernels themselves: training, evaluation and board agree."""

from __future__ import annotations

import numpy as np
import stapes_spec as spec

from . import binding


def _check(name: str, status: int) -> int:
    if status < 0:
        error, _, text, advice = spec.ERRORS[-status]
        raise ValueError(f"{name}: {text} ({error}); {advice}")
    return status


def _samples(samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples)
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise TypeError(f"samples must be int16 [n], got {samples.dtype} {list(samples.shape)}")
    return np.ascontiguousarray(samples)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel of every whole frame.

    Args:
        samples: int16 [n], 16 kHz.
    Returns:
        int16 [frames, 40], log2(1 + power / floor) in Q5.10; frames = (n - 400) // 160 + 1, or 0.
    Raises:
        TypeError: samples have another type or shape.
    """
    samples = _samples(samples)
    shift, length = spec.FRONTEND_FRAME_SHIFT, spec.FRONTEND_FRAME_LENGTH
    frames = max(0, (len(samples) - length) // shift + 1)
    out = np.zeros((frames, spec.FRONTEND_MEL_BANDS), np.int16)
    apply = binding.function("frontend_logmel")
    for index in range(frames):
        _check("frontend_logmel", apply(samples[index * shift : index * shift + length], out[index]))
    return out


def features(samples: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the encoder's input for a whole recording.

    Args:
        samples: int16 [n], 16 kHz.
        prior: int16 [40], mean log-mel before the first frame, Q5.10.
    Returns:
        int8 [steps, 120], Q4.3.
    Raises:
        TypeError: samples or prior have another type or shape.
    """
    samples, prior = _samples(samples), np.ascontiguousarray(prior)
    if prior.dtype != np.int16 or prior.shape != (spec.FRONTEND_MEL_BANDS,):
        raise TypeError(f"prior must be int16 [{spec.FRONTEND_MEL_BANDS}], got {prior.dtype} {list(prior.shape)}")
    state = bytearray(binding.function("frontend_size")())
    _check("frontend_init", binding.function("frontend_init")(state, prior))
    steps = _check("frontend_steps", binding.function("frontend_steps")(state, len(samples)))
    out = np.zeros((steps, spec.FRONTEND_FEATURE_SIZE), np.int8)
    _check("frontend_apply", binding.function("frontend_apply")(state, samples, out))
    return out
