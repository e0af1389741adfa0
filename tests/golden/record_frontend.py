"""Traces of the front end: speech, silence, full scale, the most negative sample, odd cuts, faults."""

import array
import math
import random

SAMPLES = 1360  # two steps
CUTS = (0, 1, 399, 7, 160, 793)
PRIOR = array.array("h", [3000 + 150 * band for band in range(40)])


def vowel(samples):
    """Return a buzz with two formants and some hiss, int16: integers and exact floats only."""
    source = random.Random(4)
    out, before, before2 = array.array("h"), 0, 0
    for i in range(samples):
        drive = (2000 if i % 113 == 0 else 0) + source.randint(-40, 40) + (source.randint(-900, 900) if i > 4000 else 0)
        now = drive + (1800 * before - 970 * before2) // 1024
        before, before2 = now, before
        out.append(max(-32768, min(32767, now)))
    return out


def full_scale(samples):
    return array.array("h", [32767 if i // 9 % 2 else -32768 for i in range(samples)])


def noise(samples):
    source = random.Random(6)
    return array.array("h", [source.randint(-32768, 32767) for _ in range(samples)])


def quiet_tone(samples):
    return array.array("h", [round(3 * math.sin(i * 0.3)) for i in range(samples)])


def constant(value):
    return lambda samples: array.array("h", [value] * samples)


def features_of(signal, samples=SAMPLES, cuts=CUTS):
    """Return a recording function: the features of a signal handed over in the given cuts."""

    def record(recorder):
        state = recorder.sized("frontend_size")
        recorder.call("frontend_init", state, recorder.data(PRIOR))
        sound = recorder.data(signal(samples))
        at = 0
        for count in cuts:
            steps = recorder.call("frontend_steps", state, count)
            features = recorder.zeros(120 * steps)
            recorder.call("frontend_apply", state, sound.piece(2 * at, 2 * count), features)
            recorder.expect(features)
            at += count
        if at != samples:
            raise ValueError("the cuts do not add up to the samples")

    return record


def log_mel(recorder):
    """One window at a time, before the running mean."""
    for signal in (vowel, full_scale, noise, quiet_tone, constant(0), constant(-32768)):
        out = recorder.zeros(80)
        recorder.call("frontend_logmel", recorder.data(signal(400)), out)
        recorder.expect(out)


def faults(recorder):
    """What the front end must refuse."""
    state, prior, samples = recorder.sized("frontend_size"), recorder.data(PRIOR), recorder.zeros(1440)
    recorder.call("frontend_steps", state, 480)
    recorder.call("frontend_apply", state, samples, recorder.zeros(120))
    recorder.call("frontend_init", recorder.zeros(64), prior)
    recorder.call("frontend_init", state, prior.piece(0, 78))
    recorder.call("frontend_init", state, prior)
    recorder.call("frontend_steps", state, -1)
    recorder.call("frontend_apply", state, samples, recorder.zeros(119))
    recorder.call("frontend_apply", state, samples.piece(0, 1439), recorder.zeros(120))
    recorder.call("frontend_logmel", samples.piece(0, 798), recorder.zeros(80))
    recorder.call("frontend_logmel", samples, recorder.zeros(79))


TRACES = {
    "frontend_speech": features_of(vowel, 8000, (480,) * 16 + (320,)),
    "frontend_silence": features_of(constant(0)),
    "frontend_most_negative": features_of(constant(-32768)),
    "frontend_full_scale": features_of(full_scale),
    "frontend_noise": features_of(noise),
    "frontend_quiet": features_of(quiet_tone),
    "frontend_empty": features_of(constant(0), 0, (0,)),
    "frontend_log_mel": log_mel,
    "frontend_faults": faults,
}
