"""The loops around the matrices alone on the emulated Cortex-M0+: the assembly equals what it replaces; its cost."""

import struct

import numpy as np
import pytest
from stapes_reference.fixed import multiply_by_quantized_multiplier
from stapes_tools.bench import emulated
from stapes_tools.bench.bare_metal import BareMetal

RANDOM = np.random.default_rng(5)
LIMITS = [(-3, -128, 127), (-128, -128, 127), (9, 9, 127), (0, 0, 60), (127, -128, 127)]  # zero point, low, high


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The kernels, linked for the RP2040's RAM."""
    return emulated.program(tmp_path_factory.mktemp("bare"))


def sums_of(multipliers, shifts):
    """Sums whose outputs fill int8 and go beyond it, ties of the roundings among them; then the edges of each way."""
    wanted = RANDOM.integers(-300, 300, len(multipliers)) + RANDOM.choice([0, 0.5, 0.25], len(multipliers))
    sums = np.rint(wanted * 2.0 ** (31 - shifts) / multipliers).astype(np.int64)
    edges = [0, 1, -1, 2**16 - 1, 2**16, -(2**15), -(2**15) - 1, 2**31 - 1, -(2**31), 2**15]
    sums[: len(edges)] = edges
    return np.clip(sums, -(2**31), 2**31 - 1)


def finished(core, sums, bias, multipliers, shifts, limits):
    """What st_dense_finish_loop makes of the sums, and its cycles."""
    zero, low, high = limits
    count = len(sums)
    arrays = [sums.astype(np.int32), bias.astype(np.int32), multipliers.astype(np.int32), shifts.astype(np.int8)]
    places = [core.place(array.tobytes()) for array in arrays]
    y = core.place(bytes(count))
    words = struct.pack("<5I3iI", *places, places[0] + 4 * count, zero, low - zero, high - zero, y)
    _, cycles = core.call("st_dense_finish_loop", core.place(words))
    return np.frombuffer(core.read(y, count), np.int8).tolist(), cycles


@pytest.mark.emulator
@pytest.mark.parametrize("limits", LIMITS)
def test_requantisation(program, limits):
    count = 120
    multipliers = RANDOM.integers(2**30, 2**31, count)
    multipliers[::7] = RANDOM.integers(2**14, 2**15, len(multipliers[::7])) << 16  # a product's lower half is 0
    shifts = RANDOM.choice([-1, -2, -5, -7, -8, -9, -10, -11, -16, -17, -18, -31, 0, 3], count)
    sums = sums_of(multipliers, shifts)
    multipliers[20], shifts[20] = 0, 0  # a channel of zeros
    bias = RANDOM.integers(-(2**20), 2**20, count)
    zero, low, high = limits
    expected = [
        min(max(multiply_by_quantized_multiplier(int(v), int(m), int(s)) + zero, low), high)
        for v, m, s in zip(sums, multipliers, shifts, strict=True)
    ]
    before = (sums - bias + 2**31) % 2**32 - 2**31  # sum and bias wrap
    found, _ = finished(BareMetal(program), before, bias, multipliers, shifts, limits)
    assert found == expected
    assert len(set(expected)) > 10


@pytest.mark.emulator
def test_cycles_of_requantisation(program):
    count = 64
    multipliers, shifts, bias = np.full(count, 3 << 29), np.full(count, -8), np.full(count, 100)
    for sums, limits, most in ((5000, LIMITS[0], 38), (-5000, LIMITS[0], 49), (-5000, LIMITS[2], 27)):
        _, cycles = finished(BareMetal(program), np.full(count, sums), bias, multipliers, shifts, limits)
        assert cycles <= most * count + 80


def scale(real):
    """(multiplier, shift) of a ratio."""
    mantissa, exponent = np.frexp(real)
    return round(float(mantissa) * 2**31), int(exponent)


def added(core, a_scale, b_scale, y_scale, zeros, limits):
    """Every pair of a sample of inputs by st_add_run and by st_add_naive; cycles per element of the former."""
    a = np.repeat(np.arange(-128, 128, 5), 52).astype(np.int8)
    b = np.tile(np.linspace(-128, 127, 52).astype(np.int8), len(a) // 52)
    twice = 2 * max(a_scale, b_scale)
    scales = (*scale(a_scale / twice), *scale(b_scale / twice), *scale(twice / (y_scale * 2**20)))
    add = core.place(struct.pack("<15i", 0, 0, 0, *limits, *zeros, *scales, 0))
    core.call("st_add_prepare", add)
    quick = struct.unpack("<15i", core.read(add, 60))[-1]
    places = [core.place(data) for data in (a.tobytes(), b.tobytes(), bytes(len(a)), bytes(len(a)))]
    core.call("st_add_naive", add, places[0], 1, places[1], 1, places[2], len(a))
    expected = core.read(places[2], len(a))
    if not quick:
        return expected, None, 0
    _, cycles = core.call("st_add_run", add, places[0], places[1], places[3], len(a))
    return expected, core.read(places[3], len(a)), cycles / len(a)


@pytest.mark.emulator
def test_sums_of_two_scales(program):
    for a_scale, b_scale, y_scale in ((0.11, 0.043, 0.12), (0.5, 0.25, 0.5), (0.02, 0.02, 0.04), (0.09, 0.001, 0.05)):
        for zeros, limits in (((-3, 7, -11), (-128, 127)), ((-128, 127, -128), (-128, 127)), ((0, 5, 2), (2, 127))):
            expected, found, cycles = added(BareMetal(program), a_scale, b_scale, y_scale, zeros, limits)
            assert found == expected
            assert len(set(expected)) > 50 and cycles < 130  # ties, as of equal scales, go the long way


@pytest.mark.emulator
def test_cycles_of_a_sum_and_what_is_left_to_the_reference(program):
    core = BareMetal(program)
    cycles = added(core, 0.1137, 0.04391, 0.1213, (-3, 7, -11), (-128, 127))[2]
    print(f"a sum of two scales: {cycles:.1f} cycles per element")
    assert cycles < 28
    assert added(core, 0.11, 0.043, 0.02, (-3, 7, -11), (-128, 127))[1] is None  # a factor above 2


@pytest.mark.emulator
def test_depthwise_sums(program):
    for taps in range(1, 9):
        for zero, depth in ((-128, 1), (127, 3), (5, 32)):
            core = BareMetal(program)
            x, weights = RANDOM.choice([-128, 127, 0, 33, -77], (2, taps, depth)).astype(np.int8)
            sums = core.place(bytes(4 * depth))
            words = struct.pack("<5Ii", core.place(x.tobytes()), core.place(weights.tobytes()), sums, depth, taps, zero)
            for function in ("st_depthwise_sums", "st_depthwise_naive"):
                core.write(sums, bytes(4 * depth))
                _, cycles = core.call(function, core.place(words))
                expected = ((x.astype(int) - zero) * weights).sum(0)
                assert np.frombuffer(core.read(sums, 4 * depth), np.int32).tolist() == expected.tolist()
                if function == "st_depthwise_sums":
                    assert cycles <= (8 * taps + 14) * depth + 60


@pytest.mark.emulator
def test_butterflies(program):
    for points in (4, 16, 64):
        core = BareMetal(program)
        values = RANDOM.integers(-(2**16), 2**16, (256, 2)).astype(np.int32)
        values[:5] = [[-(2**16), 2**16 - 1], [0, 0], [1, -1], [2**16 - 1, -(2**16)], [-2, 2]]
        angles = RANDOM.uniform(0, 2 * np.pi, 3)
        turns = core.place(np.rint(2**14 * np.stack([np.cos(angles), np.sin(angles)], 1)).astype("<i4").tobytes())
        found, cycles = [], []
        for function in ("st_fft_rows_naive", "st_fft_rows"):
            rows = core.place(values.tobytes())
            cycles.append(core.call(function, rows + 8, rows + 8 * 256, 8 * points, turns)[1])
            found.append(core.read(rows, 8 * 256))
        print(f"{256 // 4 // points} butterflies: {cycles[0]} cycles in C, {cycles[1]}")
        assert found[0] == found[1] != values.tobytes()
        assert cycles[1] <= 146 * (64 // points) + 60


def made(elf, words, settings=(0, 0, 24, 4, 8), offset=0, last=1):
    """What st_audio_run_naive and st_audio_run make: counts and samples of each, and the latter's cycles."""
    core = BareMetal(elf)
    shift, flip, bits, gain, pole = settings
    fields = (shift | flip << 31, ~(0xFFFFFFFF >> bits) & 0xFFFFFFFF, 0, last, 0, offset, pole, 14 - gain, 0, 0, 0)
    source = core.place(words.astype("<u4").tobytes())
    found, cycles = [], 0
    for function in ("st_audio_run_naive", "st_audio_run"):
        run, samples = core.place(struct.pack("<IIiIIiiiiii", *fields)), core.place(bytes(2 * len(words)))
        _, cycles = core.call(function, run, source, source + 4 * len(words), samples)
        found.append((struct.unpack("<IIiIIiiiiii", core.read(run, 44)), core.read(samples, 2 * len(words))))
    return *found, cycles


@pytest.mark.emulator
@pytest.mark.parametrize("seed", range(16))
def test_samples_of_a_microphone(program, seed):
    """Every shift, mask and gain; words that are loud, zero, equal, and at either end."""
    random = np.random.default_rng(seed)
    settings = (2 * seed, seed % 2, 8 + seed, min(seed, 14), 4 + seed % 9)
    words = random.integers(0, 1 << 32, 200, dtype=np.uint64)
    words[20:60] = random.choice([0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100], 40)
    words[60:90] = words[60]
    words[90:] = (random.integers(-4000, 4000, 110) << 8 & 0xFFFFFFFF).astype(np.uint64) >> settings[0]
    offset = int(random.integers(-(1 << 30), 1 << 30))
    for count in (2, 200):
        expected, found, _ = made(program, words[:count], settings, offset, int(words[0]))
        assert found == expected
    assert expected[0][9] >= 29 and any(expected[1])  # equal words, and sound


@pytest.mark.emulator
def test_cycles_of_a_sample_of_a_microphone(program):
    tone = np.rint(2_000_000 * np.sin(np.arange(480) * 0.1)).astype(np.int64)
    counts, _, cycles = made(program, tone << 8 & 0xFFFFFFFF, (0, 0, 24, 0, 8))
    print(f"a sample of a microphone: {cycles / 480:.1f} cycles")
    assert counts[0][8:] == (1, 0, 0)
    assert cycles <= 33 * 480
