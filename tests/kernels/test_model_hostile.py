"""Damaged and hostile files: C and Python refuse them alike, and what they accept they run alike."""

import mmap
import struct

import model_builder as mb
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


def two_adds(first_output, second_inputs):
    """a + b -> first_output, then second_inputs -> y: a, b, t, y are tensors 0 to 3; y is the subgraph's output."""
    builder = mb.Builder()
    graph = builder.graph()
    tensors = [graph.tensor([1, 8], scale=0.1) for _ in range(4)]
    graph.add(0, 1, first_output)
    graph.add(*second_inputs, 3)
    graph.subgraph.inputs, graph.subgraph.outputs = tensors[:2], tensors[3:]
    return builder.build()


def test_an_operator_never_reads_what_it_writes(native, reference):
    """A tensor written twice is refused: the second operator might read it, at the very place where it writes."""
    assert assert_alike(native, reference, two_adds(2, (2, 1)))
    for inputs in ((3, 3), (0, 3), (0, 1)):
        found = check(native, two_adds(3, inputs))
        assert found == check(reference, two_adds(3, inputs))
        assert found == (-spec.ERROR_MODEL_TYPE, (0, 1, 3))


@pytest.mark.parametrize(
    ("scales", "zero_points", "axis", "accepted"),
    [
        (1, 1, 0, True),
        (1, 0, 0, True),
        (8, 8, 1, True),
        (8, 1, 1, True),
        (8, 9, 1, False),
        (1, 2, 0, False),
        (0, 5000, 0, False),
        (2, 2, 1, False),
        (8, 8, 0, False),
        (8, 8, 2, False),
        (8, 8, -1, False),
    ],
)
def test_as_many_scales_and_zero_points_as_the_shape_has_room_for(
    native, reference, scales, zero_points, axis, accepted
):
    """More would make every look at the tensor as long as the file. RESHAPE does not mind scales."""

    def quantisation(tensor):
        tensor.quantization.scale, tensor.quantization.zeroPoint = [0.1] * scales, [0] * zero_points
        tensor.quantization.quantizedDimension = axis

    builder = mb.Builder()
    graph = builder.graph()
    x, y = graph.tensor([1, 8], scale=0.1), graph.tensor([8], scale=0.1)
    graph.reshape(x, [8], y)
    graph.subgraph.inputs, graph.subgraph.outputs = [x], [y]
    quantisation(graph.subgraph.tensors[x])
    model = builder.build()
    assert assert_alike(native, reference, model) is accepted
    if not accepted:
        assert check(native, model) == (-spec.ERROR_MODEL_TYPE, (0, -1, x))


def test_a_state_shorter_than_its_head_is_refused(native, reference, model):
    """32 bytes at least are read of it."""
    for size in (0, 8, 31):
        state = (b"STSM" + struct.pack("<I", 0) + bytes(24))[:size]
        for kernels in (native, reference):
            assert kernels.model_invoke(bytearray(state), model, 0) == -spec.ERROR_STATE
            assert kernels.model_subgraph(state, model, b"encoder") == -spec.ERROR_STATE


def test_a_file_of_more_than_256_mb(native, reference, tmp_path):
    """Refused before anything of it is read but its start."""
    path = tmp_path / "huge.tflite"
    with open(path, "wb") as file:
        file.write(struct.pack("<I4s", 16, b"TFL3"))
        file.truncate((1 << 28) + 16)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for kernels in (native, reference):
            assert check(kernels, data) == (-spec.ERROR_MODEL_MEMORY, (-1, -1, (1 << 28) + 16))


def test_a_misaligned_file(native, model):
    """The board would fault on its words. Python's bytes begin at a multiple of 16."""
    for shift in (1, 4, 8):
        data = memoryview(bytes(shift) + model)[shift:]
        assert check(native, data)[0] == -spec.ERROR_ARGUMENT
