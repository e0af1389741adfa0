"""Traces of the microphone's audio path: every kind, full scale, a stuck line, offsets, a PDM microphone's bits."""

import random
import struct

I2S = (0, 24, 0, 4, 8)
LATE = (1, 18, 0, 4, 8)
ADC = (20, 12, 1, 0, 8)
LOUDEST = (0, 24, 0, 14, 4)
CUTS = (0, 1, 7, 24)
REFUSED = ((-1, 24, 0, 0, 8), (32, 24, 0, 0, 8), (0, 7, 0, 0, 8), (0, 25, 0, 0, 8), (0, 24, 2, 0, 8), (0, 24, 0, 15, 8))
REFUSED += ((0, 24, 0, -1, 8), (0, 24, 0, 0, 3), (0, 24, 0, 0, 13))


def packed(words):
    return struct.pack(f"<{len(words)}I", *[word & 0xFFFFFFFF for word in words])


def speech(count):
    """A microphone with an offset: a soft triangle, hiss, and something in the bits that are no sound."""
    source = random.Random(3)
    return [
        ((abs(i % 80 - 40) * 3000 - 30000 + source.randint(-90, 90)) << 8) | source.getrandbits(8) for i in range(count)
    ]


def rails(count):
    return [0x7FFFFFFF if i // 5 % 2 else 0x80000000 for i in range(count)]


def readings(count):
    source = random.Random(5)
    return [2048 + abs(i % 64 - 32) * 20 - 300 + source.randint(-3, 3) for i in range(count)]


def path(config, words):
    """Return a recording function: samples and levels of words handed over in cuts."""

    def record(recorder):
        state = recorder.sized("audio_size")
        recorder.call("audio_init", state, recorder.data(struct.pack("<5i", *config)))
        levels = recorder.zeros(28)
        sound = recorder.data(packed(words))
        at = 0
        for count in CUTS:
            samples = recorder.zeros(2 * count)
            recorder.call("audio_apply", state, sound.piece(4 * at, 4 * count), samples)
            recorder.expect(samples)
            at += count
        for _ in range(2):  # the second time nothing has come
            recorder.call("audio_levels", state, levels)
            recorder.expect(levels)

    return record


def faults(recorder):
    """What the path must refuse."""
    state, config = recorder.sized("audio_size"), recorder.data(struct.pack("<5i", *I2S))
    words, samples = recorder.zeros(16), recorder.zeros(8)
    recorder.call("audio_apply", state, words, samples)
    recorder.call("audio_levels", state, recorder.zeros(28))
    recorder.call("audio_init", recorder.zeros(16), config)
    recorder.call("audio_init", state, config.piece(0, 16))
    for bad in REFUSED:
        recorder.call("audio_init", state, recorder.data(struct.pack("<5i", *bad)))
    recorder.call("audio_init", state, config)
    recorder.call("audio_apply", state, words, samples.piece(0, 6))
    recorder.call("audio_apply", state, words.piece(0, 14), samples)
    recorder.call("audio_levels", state, recorder.zeros(24))


def pdm(words):
    def record(recorder):
        state = recorder.sized("pdm_size")
        recorder.call("pdm_init", state)
        bits = recorder.data(packed(words))
        at = 0
        for count in (0, 1, 11):
            samples = recorder.zeros(4 * count)
            recorder.call("pdm_apply", state, bits.piece(8 * at, 8 * count), samples)
            recorder.expect(samples)
            at += count

    return record


def pdm_faults(recorder):
    state, words, samples = recorder.sized("pdm_size"), recorder.zeros(16), recorder.zeros(8)
    recorder.call("pdm_apply", state, words, samples)
    recorder.call("pdm_init", recorder.zeros(16))
    recorder.call("pdm_init", state)
    recorder.call("pdm_apply", state, words, samples.piece(0, 4))
    recorder.call("pdm_apply", state, words.piece(0, 12), samples)


def bits(count, seed):
    source = random.Random(seed)
    return [source.getrandbits(32) for _ in range(count)]


TRACES = {
    "audio_i2s": path(I2S, speech(32)),
    "audio_late": path(LATE, [word >> 1 for word in speech(32)]),
    "audio_adc": path(ADC, readings(32)),
    "audio_rails": path(LOUDEST, rails(32)),
    "audio_zero": path(I2S, [0] * 32),
    "audio_stuck": path(I2S, [0xFFFFFFFF] * 32),
    "audio_faults": faults,
    "pdm_noise": pdm(bits(24, 9)),
    "pdm_ones": pdm([0xFFFFFFFF] * 24),
    "pdm_zeros": pdm([0] * 24),
    "pdm_faults": pdm_faults,
}
