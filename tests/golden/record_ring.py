"""Traces of the ring that a microphone's words come through: looks in time and too late, samples across its end."""

import random
import struct

import stapes_spec as spec

STEP = spec.FRONTEND_STEP_SAMPLES
BASE = 0x20010000
BEGAN_US = (1 << 30) - 50_000  # the clock's end comes after two looks
LOOKS_US = (30_010, 47_000, 60_100, 61_000, 200_000, 230_000, 5_230_000)


def started(words):
    """The values of a ring of two steps."""
    return [BASE, 2 * STEP * words, words, 0, 0, 0, BEGAN_US, 0]


def packed(values):
    return struct.pack("<8i", *values)


def written(us, words):
    """Where DMA is then."""
    return BASE + 4 * (us * 16 * words // 1000 % (2 * STEP * words))


def hear(recorder):
    """Samples, once they are there."""
    ring = recorder.data(packed(started(1)))
    source = random.Random(11)
    sound = recorder.zeros(8 * STEP)
    for at in (0, STEP - 24, 2 * STEP - 24):
        recorder.write(sound, 4 * at, struct.pack("<24I", *[source.randrange(1 << 20) << 8 for _ in range(24)]))
    audio = recorder.sized("audio_size")
    recorder.call("audio_init", audio, recorder.data(struct.pack("<5i", 0, 24, 0, 4, 8)))
    for k, us in enumerate(LOOKS_US):
        samples = recorder.zeros(2 * (STEP - k % 2))
        where, now_us = written(us, 1), (BEGAN_US + us) % (1 << 30)
        recorder.call("ring_hear", ring, sound, audio, samples, where, now_us)
        recorder.expect(samples, 2 * (STEP - 24), 40)
        recorder.expect(ring)


def look(recorder):
    """A PDM microphone's ring."""
    ring = recorder.data(packed(started(2)))
    for us in LOOKS_US:
        recorder.call("ring_look", ring, written(us, 2), (BEGAN_US + us) % (1 << 30), STEP)
        recorder.expect(ring)


def faults(recorder):
    """What is no ring, and buffers that are too small."""
    ring = recorder.data(packed(started(1)))
    sound, audio, samples = recorder.zeros(8 * STEP), recorder.sized("audio_size"), recorder.zeros(2 * STEP)
    recorder.call("ring_hear", ring, sound, audio, samples, BASE, 0)
    recorder.call("audio_init", audio, recorder.data(struct.pack("<5i", 0, 24, 0, 4, 8)))
    recorder.call("ring_hear", ring, sound.piece(0, 8 * STEP - 4), audio, samples, BASE, 0)
    recorder.call("ring_hear", ring, sound, audio.piece(0, 16), samples, BASE, 0)
    recorder.call("ring_hear", ring, sound, audio, sound.piece(0, 2 * STEP + 2), BASE, 0)
    recorder.call("ring_look", ring, BASE, 0, STEP + 1)
    recorder.call("ring_look", ring, BASE, 0, -1)
    recorder.call("ring_look", ring.piece(0, 28), BASE, 0, STEP)
    for at, value in ((1, STEP), (1, 3 * STEP - 1), (1, 137 * STEP), (2, 0), (2, 3), (3, -1), (4, 961), (5, 2 * STEP)):
        values = started(1)
        values[at] = value
        recorder.call("ring_look", recorder.data(packed(values)), BASE, 0, STEP)


TRACES = {"ring_hear": hear, "ring_look": look, "ring_faults": faults}
