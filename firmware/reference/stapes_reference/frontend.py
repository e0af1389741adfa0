"""The front end, from samples to features: the twin of st_frontend.c and api_frontend.c."""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .fft import COMPLEX_POINTS, fft_complex, slot, split_real
from .fixed import clamp, msb32
from .log2 import FRACTION_BITS, log2
from .tables import MEL_FIRST_BIN, MEL_WEIGHT, WINDOW

LENGTH = spec.FRONTEND_FRAME_LENGTH
SHIFT = spec.FRONTEND_FRAME_SHIFT
BANDS = spec.FRONTEND_MEL_BANDS
STACK = spec.FRONTEND_STACK
STEP_BYTES = spec.FRONTEND_FEATURE_SIZE
FLOOR_BITS = 24
MEAN_EXTRA_BITS = 6
FEATURE_SHIFT = spec.FRONTEND_LOG_FRACTION_BITS + MEAN_EXTRA_BITS - spec.FRONTEND_FEATURE_FRACTION_BITS
MAX_SAMPLES = spec.LIMITS_MAX_RECORDING_S * spec.AUDIO_SAMPLE_RATE_HZ

# The state: u32 magic, buffered samples, stacked frames, mean frames; i32 mean[40]; i16
# samples[400]; i8 features[120].
MAGIC = 0x31454653
MEAN_AT = 16
SAMPLES_AT = MEAN_AT + 4 * BANDS
FEATURES_AT = SAMPLES_AT + 2 * LENGTH
STATE_BYTES = FEATURES_AT + STEP_BYTES


def _emphasised(samples):
    """Return a frame without its mean, pre-emphasised by 31/32, Q5."""
    mean = ((sum(samples) >> 8) * 5243 + (1 << 12)) >> 13
    out = []
    before = samples[0]
    for now in samples:
        out.append(32 * now - 31 * before - mean)
        before = now
    return out


def _bits(values):
    """Return how many bits the largest magnitude needs, counting -1 as 0."""
    every = 0
    for value in values:
        every |= ~value if value < 0 else value
    return msb32(every) + 1


def _windowed(emphasised, before):
    """Return (frame windowed and scaled to 16 bits and sign, the shift right that this took)."""
    out = []
    for i in range(LENGTH):
        out.append((emphasised[i] >> before) * WINDOW[i if i < LENGTH // 2 else LENGTH - 1 - i])
    after = max(_bits(out) - 16, 0)
    half = (1 << after) >> 1
    return [(value + half) >> after for value in out], after


def _spectrum(windowed):
    """Return the spectrum divided by 2^5, as (re, im) of 256 bins."""
    re, im = [0] * COMPLEX_POINTS, [0] * COMPLEX_POINTS
    for n in range(LENGTH // 2):
        re[slot(n)], im[slot(n)] = windowed[2 * n], windowed[2 * n + 1]
    fft_complex(re, im)
    split_real(re, im)
    return re, im


def _log_power(power, floor_exponent):
    """Return log2(1 + power / 2^floor_exponent), Q5.10."""
    if floor_exponent > FLOOR_BITS:
        drop = min(floor_exponent - FLOOR_BITS, 31)
        power = (power + (1 << (drop - 1))) >> drop
        floor_exponent = FLOOR_BITS
    if floor_exponent >= 0:
        power += 1 << floor_exponent
    elif power == 0:
        return 0
    value = log2(power) - (floor_exponent << FRACTION_BITS)
    return clamp((value + (1 << 4)) >> (FRACTION_BITS - 10), 0, 32767)


def log_mel(samples):
    """Return the log-mel of one frame.

    Args:
        samples: int16 [400].
    Returns:
        list: int16 [40], log2(1 + power / 2^floor_log2), Q5.10.
    """
    emphasised = _emphasised(samples)
    bits = _bits(emphasised)
    if bits == 0:
        return [0] * BANDS
    before = max(bits - 16, 0)
    windowed, after = _windowed(emphasised, before)
    re, im = _spectrum(windowed)
    first, end = MEL_FIRST_BIN[0], MEL_FIRST_BIN[BANDS + 1]
    shift = max(_bits(re[first:end] + im[first:end]) - 15, 0)
    bands = [0] * (BANDS + 2)  # band b is at b + 1; the outer two are beyond the bank
    edge = 0
    for k in range(first, end):
        while k >= MEL_FIRST_BIN[edge + 1]:
            edge += 1
        power = ((re[k] >> shift) ** 2 + (im[k] >> shift) ** 2 + 8) >> 4
        part = (((power * MEL_WEIGHT[k - first]) >> 12) + 8) >> 4
        bands[edge + 1] += part
        bands[edge] += power - part
    floor_exponent = spec.FRONTEND_FLOOR_LOG2 + 2 * (15 - before - after - shift) - 4
    return [_log_power(power, floor_exponent) for power in bands[1 : BANDS + 1]]


def normalise(log_mels, mean, mean_frames):
    """Move the running mean (in place) towards a frame and return the frame minus the mean.

    Args:
        log_mels: int16 [40], Q5.10.
        mean: int32 [40], Q.16.
        mean_frames: weight of the mean, this frame included.
    Returns:
        list: int8 [40], Q4.3.
    """
    rate = ((1 << 15) + mean_frames // 2) // mean_frames
    out = []
    for band in range(BANDS):
        value = log_mels[band] << MEAN_EXTRA_BITS
        mean[band] += ((value - mean[band]) * rate + (1 << 14)) >> 15
        out.append(clamp((value - mean[band] + (1 << (FEATURE_SHIFT - 1))) >> FEATURE_SHIFT, -128, 127))
    return out


def _check_started(state):
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    return 0 if read(state, "I", 1)[0] == MAGIC else -spec.ERROR_STATE


def _steps(buffered, stacked, n):
    """Return the steps that n more samples complete."""
    if buffered + n < LENGTH:
        return 0
    return (stacked + (buffered + n - LENGTH) // SHIFT + 1) // STACK


def frontend_size():
    """Return the bytes of state."""
    return STATE_BYTES


def frontend_init(state, prior):
    """Start a recording: see docs/kernels_api.md."""
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    if byte_length(prior) < 2 * BANDS:
        return -spec.ERROR_ARGUMENT
    write(state, "I", (MAGIC, 0, 0, spec.FRONTEND_MEAN_PRIOR_FRAMES))
    write(state, "i", [value << MEAN_EXTRA_BITS for value in read(prior, "h", BANDS)], MEAN_AT)
    return 0


def frontend_steps(state, n):
    """Return the 30 ms steps that n more samples will complete."""
    status = _check_started(state)
    if status < 0:
        return status
    if n < 0:
        return -spec.ERROR_ARGUMENT
    _, buffered, stacked, _ = read(state, "I", 4)
    return _steps(buffered, stacked, n)


def frontend_apply(state, samples, features):
    """Take in samples and write the features of every step they complete: see docs/kernels_api.md."""
    status = _check_started(state)
    if status < 0:
        return status
    n = byte_length(samples)
    if n & 1 or n // 2 > MAX_SAMPLES:
        return -spec.ERROR_ARGUMENT
    n //= 2
    _, buffered, stacked, mean_frames = read(state, "I", 4)
    steps = _steps(buffered, stacked, n)
    if byte_length(features) < steps * STEP_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    mean = list(read(state, "i", BANDS, MEAN_AT))
    held = list(read(state, "h", buffered, SAMPLES_AT)) + list(read(samples, "h", n))
    step = list(read(state, "b", stacked * BANDS, FEATURES_AT))
    at = written = 0
    while at + LENGTH <= len(held):
        mean_frames = min(mean_frames + 1, spec.FRONTEND_MEAN_MAX_FRAMES)
        step += normalise(log_mel(held[at : at + LENGTH]), mean, mean_frames)
        at += SHIFT
        if len(step) == STEP_BYTES:
            write(features, "b", step, written * STEP_BYTES)
            step = []
            written += 1
    write(state, "I", (len(held) - at, len(step) // BANDS, mean_frames), 4)
    write(state, "i", mean, MEAN_AT)
    write(state, "h", held[at:], SAMPLES_AT)
    write(state, "b", step, FEATURES_AT)
    return written


def frontend_logmel(samples, logmel):
    """Write the log-mel of one window: int16 [400] -> int16 [40], Q5.10."""
    if byte_length(samples) < 2 * LENGTH:
        return -spec.ERROR_ARGUMENT
    if byte_length(logmel) < 2 * BANDS:
        return -spec.ERROR_BUFFER_SMALL
    write(logmel, "h", log_mel(read(samples, "h", LENGTH)))
    return 0
