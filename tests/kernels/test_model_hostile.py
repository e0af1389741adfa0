"""Damaged and hostile files: C and Python refuse them alike, and what they accept they run alike."""

import struct

import numpy as np
import pytest
import stapes_spec as spec
from model_builder import seal
from model_runner import check
from model_whole import whole

FLIPS = 1500
WORDS = 500
VALUES = (0, 1, 2, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x10000, 0x3F800000)


@pytest.fixture(scope="module")
def model():
    return whole()


def resealed(original, changed):
    """The changed file with a right checksum: what a damaged file would not have, but a hostile one."""
    at = original.find(spec.MAGIC_METADATA.encode()) + spec.METADATA_FILE_CRC_OFFSET
    zeroed = changed[:at] + bytes(4) + changed[at + 4 :]
    return seal(zeroed) if changed[at - 8 : at - 4] == b"STPM" else changed


def run_everything(kernels, model):
    """Init, then every subgraph twice: the results and the whole state."""
    info = bytearray(4 * spec.INFO_INDEX_COUNT)
    state = bytearray(kernels.model_size(model, info))
    results = [kernels.model_init(state, model, info)]
    for subgraph in range(spec.MODEL_MAX_SUBGRAPHS):
        for _ in range(2):
            results.append(kernels.model_invoke(state, model, subgraph))
    return results, bytes(state)


def assert_alike(native, reference, model):
    """Return whether both accept the model."""
    found, expected = check(native, model), check(reference, model)
    assert found == expected
    if found[0] >= 0 and found[0] < 100_000:
        assert run_everything(native, model) == run_everything(reference, model)
    return found[0] >= 0


def assert_changed_bytes_alike(native, reference, model, flips, seed):
    """One or two bytes anywhere are changed, the checksum is made right: some are refused, some run, both alike."""
    rng = np.random.default_rng(seed)
    accepted = 0
    for _ in range(flips):
        changed = bytearray(model)
        for at in rng.integers(0, len(model), rng.integers(1, 3)):
            changed[at] = int(rng.integers(0, 256))
        accepted += assert_alike(native, reference, resealed(model, bytes(changed)))
    assert 0 < accepted < flips


def test_the_model_itself(native, reference, model):
    assert assert_alike(native, reference, model)


def test_every_cut(native, reference, model):
    for length in list(range(0, 64)) + list(range(64, len(model), 37)):
        cut = model[:length]
        assert not assert_alike(native, reference, cut)
        assert not assert_alike(native, reference, resealed(model, cut) if b"STPM" in cut else cut)


def test_any_changed_byte_fails_the_checksum(native, model):
    rng = np.random.default_rng(0)
    places = rng.integers(8, len(model), 300)
    codes = set()
    for at in places:
        changed = bytearray(model)
        changed[at] ^= 1 << int(rng.integers(0, 8))
        code = check(native, bytes(changed))[0]
        assert code < 0
        codes.add(code)
    assert -spec.ERROR_MODEL_CRC in codes


def test_changed_bytes_with_a_right_checksum(native, reference, model):
    assert_changed_bytes_alike(native, reference, model, FLIPS, seed=1)


def test_changed_words_with_a_right_checksum(native, reference, model):
    rng = np.random.default_rng(2)
    for _ in range(WORDS):
        changed = bytearray(model)
        at = int(rng.integers(0, len(model) // 4)) * 4
        word = int(rng.choice(VALUES)) if rng.random() < 0.7 else int(rng.integers(0, len(model)))
        struct.pack_into("<I", changed, at, word)
        assert_alike(native, reference, resealed(model, bytes(changed)))


def test_small_state_is_refused(native, reference, model):
    info = bytearray(16)
    size = native.model_size(model, info)
    for bytes_ in (0, 31, 32, 100, size // 2, size - 8):
        for kernels in (native, reference):
            assert kernels.model_init(bytearray(bytes_), model, info) == -spec.ERROR_BUFFER_SMALL


def test_state_of_another_model_is_refused(native, reference, model):
    other = whole(seed=1)
    assert len(other) == len(model)
    for kernels in (native, reference):
        info = bytearray(16)
        state = bytearray(kernels.model_size(model, info))
        assert kernels.model_invoke(state, model, 0) == -spec.ERROR_STATE
        assert kernels.model_init(state, model, info) == 0
        assert kernels.model_invoke(state, other, 0) == -spec.ERROR_STATE
        assert kernels.model_reset(state, other) == -spec.ERROR_STATE
        assert kernels.model_subgraph(state, other, b"encoder") == -spec.ERROR_STATE
        assert kernels.model_tensor(state, other, 0, 0, 0) == -spec.ERROR_STATE
        assert kernels.model_invoke(state, model, 0) == 0
