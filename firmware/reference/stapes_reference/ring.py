"""A ring of words that DMA fills for ever: the twin of st_ring.c and api_ring.c."""

import stapes_spec as spec

from .audio import audio_apply, audio_started
from .buffers import byte_length, read, write

MASK32 = 0xFFFFFFFF
TICKS_MASK = 0x3FFFFFFF
_STEP = spec.FRONTEND_STEP_SAMPLES


def _values(ring):
    """The ring's values as a list, None for those that no ring has."""
    if byte_length(ring) < 4 * spec.RING_INDEX_COUNT:
        return None
    found = list(read(ring, "i", spec.RING_INDEX_COUNT))
    size, words = found[spec.RING_INDEX_SIZE], found[spec.RING_INDEX_WORDS]
    good = words in (1, 2) and 2 * words * _STEP <= size <= spec.RING_MOST_WORDS and size % (words * _STEP) == 0
    for at in (spec.RING_INDEX_AT, spec.RING_INDEX_SEEN):
        good = good and 0 <= found[at] < size
    return found if good and 0 <= found[spec.RING_INDEX_FILL] <= size else None


def _look(values, written, now_us):
    size, words = values[spec.RING_INDEX_SIZE], values[spec.RING_INDEX_WORDS]
    at = ((written - values[spec.RING_INDEX_BASE] & MASK32) >> 2) % size
    come = (at - values[spec.RING_INDEX_SEEN]) % size
    elapsed_us = now_us - values[spec.RING_INDEX_SEEN_US] & TICKS_MASK
    clock = 0 if elapsed_us > TICKS_MASK // 2 else (elapsed_us >> 6) * words * 128 // 125
    turns = (clock + size // 2 - come) // size
    fill = values[spec.RING_INDEX_FILL] + come + max(turns, 0) * size
    if fill > size - spec.RING_GUARD:
        step = words * _STEP
        lost = (fill - size // step // 2 * step) // step * step
        values[spec.RING_INDEX_AT] = (values[spec.RING_INDEX_AT] + lost) % size
        values[spec.RING_INDEX_LOST] = (values[spec.RING_INDEX_LOST] + lost // words) & TICKS_MASK
        fill -= lost
    values[spec.RING_INDEX_SEEN], values[spec.RING_INDEX_SEEN_US] = at, now_us
    values[spec.RING_INDEX_FILL] = fill


def _missing_ms(values, count):
    missing = count * values[spec.RING_INDEX_WORDS] - values[spec.RING_INDEX_FILL]
    rate = spec.AUDIO_SAMPLE_RATE_HZ * values[spec.RING_INDEX_WORDS]
    return 0 if missing <= 0 else 1 + missing * 1000 // rate


def ring_look(ring, written, now_us, count):
    """See what has come; returns the milliseconds until count samples are there. See st_ring_look."""
    values = _values(ring)
    if values is None or not 0 <= count <= _STEP:
        return -spec.ERROR_ARGUMENT
    _look(values, written, now_us)
    write(ring, "i", values)
    return _missing_ms(values, count)


def ring_hear(ring, words, audio, samples, written, now_us):
    """The same, and make the samples when they are there; see st_ring_take."""
    values, count = _values(ring), byte_length(samples) // 2
    if values is None or values[spec.RING_INDEX_WORDS] != 1 or count > _STEP:
        return -spec.ERROR_ARGUMENT
    size = values[spec.RING_INDEX_SIZE]
    if byte_length(words) < 4 * size:
        return -spec.ERROR_BUFFER_SMALL
    status = audio_started(audio)
    if status < 0:
        return status
    _look(values, written, now_us)
    wait_ms = _missing_ms(values, count)
    if wait_ms == 0:
        at = values[spec.RING_INDEX_AT]
        taken = memoryview(bytes(words))[4 * at : 4 * (at + count)]
        rest = memoryview(bytes(words))[: 4 * count - len(taken)]
        audio_apply(audio, bytes(taken) + bytes(rest), samples)
        values[spec.RING_INDEX_AT] = (at + count) % size
        values[spec.RING_INDEX_FILL] -= count
    write(ring, "i", values)
    return wait_ms
