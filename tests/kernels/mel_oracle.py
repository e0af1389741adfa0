"""The front end in float64, written from its definition and sharing no table with the kernels."""

import numpy as np

RATE, LENGTH, SHIFT, FFT, BANDS = 16000, 400, 160, 512, 40


def mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def mel_bank():
    """Return the weights of each band for each bin, float [40, 257]."""
    edges = np.linspace(mel(60), mel(7600), BANDS + 2)
    bins = mel(np.arange(FFT // 2 + 1) * RATE / FFT)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def log_mel(samples):
    """Return log2(1 + mel power / 2^15) of each frame, float [frames, 40]."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), LENGTH)[::SHIFT]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(LENGTH) + 0.5) / LENGTH)
    power = np.abs(np.fft.rfft((frames - 31 / 32 * before) * window, FFT)) ** 2
    return np.log2(1 + power @ mel_bank().T / 2**15)
