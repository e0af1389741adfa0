"""The ring that a microphone's words come through: C equals its twin, whatever comes, and when; its errors."""

import numpy as np
import pytest
import stapes_spec as spec

STEP = spec.FRONTEND_STEP_SAMPLES
BASE = 0x20012340
TICKS = 1 << 30


def ring(steps=4, words=1, **values):
    made = np.zeros(spec.RING_INDEX_COUNT, np.int32)
    made[spec.RING_INDEX_BASE] = BASE
    made[spec.RING_INDEX_SIZE] = steps * STEP * words
    made[spec.RING_INDEX_WORDS] = words
    for name, value in values.items():
        made[getattr(spec, "RING_INDEX_" + name.upper())] = value
    return made


def audio(kernels):
    state = bytearray(kernels.audio_size())
    assert kernels.audio_init(state, np.array([0, 24, 0, 4, 8], np.int32)) == 0
    return state


def times(random, count):
    """Looks after a while: some at once, some soon, some so late that much is lost, the clock's wrap among them."""
    return np.cumsum(random.choice([0, 1, 63, 5000, 17_000, 30_000, 119_000, 2_000_000, 300_000_000], count))


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_reference(native, reference, seed):
    random = np.random.default_rng(seed)
    steps, words = int(random.integers(2, 7)), 1 + seed % 2
    ours, twin = ring(steps, words, seen_us=TICKS - 40_000), ring(steps, words, seen_us=TICKS - 40_000)
    sound = random.integers(0, 1 << 32, steps * STEP * words, dtype=np.uint64).astype(np.uint32)
    states = audio(native), audio(reference)
    for us in times(random, 60):
        now = int(TICKS - 40_000 + us) % TICKS
        # The clocks differ by the while between the two looks at them.
        written = BASE + 4 * int((us * 16 * words // 1000 + random.integers(0, 3)) % len(sound))
        count = int(random.choice([STEP, STEP, 1, 0, 33]))
        if words == 1 and random.random() < 0.8:
            made = np.zeros(count, np.int16), np.zeros(count, np.int16)
            found = native.ring_hear(ours, sound, states[0], made[0], written, now)
            assert found == reference.ring_hear(twin, sound, states[1], made[1], written, now) >= 0
            assert (made[0] == made[1]).all() and states[0] == states[1]
        else:
            found = native.ring_look(ours, written, now, count)
            assert found == reference.ring_look(twin, written, now, count) >= 0
        assert (ours == twin).all()
    assert ours[spec.RING_INDEX_LOST] > 0


def test_samples_are_those_of_the_words_across_the_end(native):
    words = (np.arange(4 * STEP) % 1000 << 12).astype(np.uint32)
    late = ring(at=4 * STEP - 100, seen=4 * STEP - 100)
    samples, expected = np.zeros(STEP, np.int16), np.zeros(STEP, np.int16)
    native.audio_apply(audio(native), np.concatenate([words[-100:], words[:380]]), expected)
    state = audio(native)
    assert native.ring_hear(late, words, state, samples, BASE + 4 * 379, 29_980) == 1, "the last word is missing"
    assert not samples.any()
    assert native.ring_hear(late, words, state, samples, BASE + 4 * 380, 30_000) == 0
    assert (samples == expected).all() and expected.any()
    assert late[spec.RING_INDEX_AT] == 380 and late[spec.RING_INDEX_FILL] == 0


def test_a_clock_that_is_set_back_adds_no_turns(native):
    made = ring(seen_us=90_000)
    assert native.ring_look(made, BASE + 4 * 16, 1, STEP) == 30
    assert made[spec.RING_INDEX_FILL] == 16 and made[spec.RING_INDEX_LOST] == 0


WRONG = (
    {"words": 0},
    {"words": 3},
    {"size": 0},
    {"size": STEP},
    {"size": 2 * STEP + 1},
    {"size": 137 * STEP},
    {"at": -1},
    {"at": 4 * STEP},
    {"seen": -1},
    {"seen": 4 * STEP},
    {"fill": -1},
    {"fill": 4 * STEP + 1},
)


@pytest.mark.parametrize("values", WRONG)
def test_values_of_no_ring_are_refused(native, reference, values):
    words, samples = np.zeros(200 * STEP, np.uint32), np.zeros(STEP, np.int16)
    for kernels in (native, reference):
        assert kernels.ring_look(ring(**values), BASE, 0, STEP) == -spec.ERROR_ARGUMENT
        assert kernels.ring_hear(ring(**values), words, audio(kernels), samples, BASE, 0) == -spec.ERROR_ARGUMENT


def test_buffers_that_are_too_small_are_refused(native, reference):
    words, samples = np.zeros(4 * STEP, np.uint32), np.zeros(STEP, np.int16)
    for kernels in (native, reference):
        state = audio(kernels)
        assert kernels.ring_look(ring()[:7], BASE, 0, STEP) == -spec.ERROR_ARGUMENT
        assert kernels.ring_look(ring(), BASE, 0, STEP + 1) == -spec.ERROR_ARGUMENT
        assert kernels.ring_look(ring(), BASE, 0, -1) == -spec.ERROR_ARGUMENT
        assert kernels.ring_hear(ring(words=2), words, state, samples, BASE, 0) == -spec.ERROR_ARGUMENT
        assert kernels.ring_hear(ring(), words[1:], state, samples, BASE, 0) == -spec.ERROR_BUFFER_SMALL
        assert kernels.ring_hear(ring(), words, state[:-1], samples, BASE, 0) == -spec.ERROR_BUFFER_SMALL
        assert kernels.ring_hear(ring(), words, bytearray(len(state)), samples, BASE, 0) == -spec.ERROR_STATE
        long = np.zeros(STEP + 1, np.int16)
        assert kernels.ring_hear(ring(), words, state, long, BASE, 0) == -spec.ERROR_ARGUMENT
