"""Where a recording's speech ends, by energy alone."""

import numpy as np
import stapes_spec as spec

# A 10 ms frame this far below the recording's loudest one is silence.
SILENCE_BELOW_LOUDEST_DB = 35.0


def speech_end(samples: np.ndarray) -> int:
    """Return how many samples there are up to the end of the last speech.

    Speech is every whole frame of 10 ms whose energy (sum of squares) is at most SILENCE_BELOW_LOUDEST_DB below
    that of the loudest frame. In steady noise above that level nothing counts as silence.

    Args:
        samples: int16 [n], 16 kHz.
    Returns:
        int: a multiple of frame_shift, or n where not even one frame is there, or all is digital silence.
    """
    shift = spec.FRONTEND_FRAME_SHIFT
    frames = samples[: len(samples) // shift * shift].astype(np.int64).reshape(-1, shift)
    energy = (frames * frames).sum(axis=1)
    if not energy.any():
        return len(samples)
    loud = energy >= energy.max() * 10 ** (-SILENCE_BELOW_LOUDEST_DB / 10)
    return (int(np.flatnonzero(loud)[-1]) + 1) * shift


def first_silent_step(samples: np.ndarray) -> int:
    """Return the first step of 30 ms that begins after the last speech; there may be no such step.

    Args:
        samples: int16 [n], 16 kHz.
    """
    return -(-speech_end(samples) // spec.FRONTEND_STEP_SAMPLES)
