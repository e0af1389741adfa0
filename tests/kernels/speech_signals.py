"""Signals for the tests of the front end: synthesised, so that none needs a recording."""

import numpy as np

RATE = 16000
FORMANTS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240))


def at_level(signal, level_dbfs):
    """Scale to an RMS level in dB below full scale and round to int16, clipping."""
    scaled = signal * (32768 * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(signal**2)))
    return np.clip(np.round(scaled), -32768, 32767).astype(np.int16)


def _resonate(signal, hertz, bandwidth_hz):
    radius = np.exp(-np.pi * bandwidth_hz / RATE)
    a1, a2 = 2 * radius * np.cos(2 * np.pi * hertz / RATE), -(radius**2)
    out = np.zeros(len(signal) + 2)
    for i, value in enumerate(signal):
        out[i + 2] = value + a1 * out[i + 1] + a2 * out[i]
    return out[2:]


def speech_like(seed=0, samples=16000):
    """Return voiced vowels, hiss and near-silence in turn, float [samples]: about 60 dB of range."""
    random = np.random.default_rng(seed)
    pieces = []
    for formants in FORMANTS_HZ * (samples // 9600 + 1):
        pulses = (np.arange(2000) % random.integers(80, 160) == 0) + 0.01 * random.normal(size=2000)
        for hertz in formants:
            pulses = _resonate(pulses, hertz, 80)
        hiss = np.diff(random.normal(size=801)) * 0.05 * np.abs(pulses).max()
        pieces += [pulses, hiss, random.normal(size=400) * 1e-3 * np.abs(pulses).max()]
    return np.concatenate(pieces)[:samples]


def extreme_signals(samples=2400):
    """Return {name: int16 [samples]} of inputs that break careless arithmetic."""
    i = np.arange(samples)
    random = np.random.default_rng(7)
    signals = {
        "silence": 0 * i,
        "most_negative": 0 * i - 32768,
        "most_positive": 0 * i + 32767,
        "nyquist": np.where(i % 2, 32767, -32768),
        "square": np.where(i // 7 % 2, 32767, -32768),
        "impulses": 32767 * (i % 633 == 0),
        "least_bit": i % 400 == 17,
        "step_down": np.where(i > samples // 2, -32768, 0),
        "ramp": i * 65535 // samples - 32768,
        "noise": random.integers(-32768, 32768, samples),
        "faint_noise": random.integers(-1, 2, samples),
    }
    return {name: signal.astype(np.int16) for name, signal in signals.items()}
