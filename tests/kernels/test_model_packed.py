"""Packed weights: what they compute, and what damaged and hostile ones do."""

import struct

import model_builder as mb
import numpy as np
import pytest
import stapes_spec as spec
from hypothesis import given, settings
from hypothesis import strategies as st
from model_oracles import LiteRT, Micro
from model_packed import layer, lstm, packed_always, packed_layers, packed_lstm
from model_runner import Runner, check
from stapes_reference import zero_skip as layout
from stapes_tools.convert import pack as packing
from stapes_tools.convert.zero_skip import decode, encode
from test_model_hostile import assert_alike, resealed

CASES = {
    "int4": ("conv", 4, [16, 1, 1, 64], {}),
    "int8": ("conv", 8, [16, 1, 1, 64], {}),
    "segments": ("conv", 4, [8, 1, 3, 100], {"width": 3}),
    "segments8": ("conv", 8, [8, 1, 3, 100], {"width": 3}),
    "full": ("conv", 4, [8, 1, 1, 256], {"keep": 1.0}),
    "empty": ("conv", 4, [8, 1, 1, 300], {"keep": 0.0}),
    "odd_rows": ("conv", 8, [7, 1, 1, 13], {"keep": 0.7}),
    "padded": ("conv", 4, [6, 1, 3, 5], {"width": 7, "padding": 0, "strideW": 2, "zero_point": 33}),
    "dilated": ("conv", 8, [6, 1, 3, 4], {"width": 9, "dilationWFactor": 3, "zero_point": 127}),
    "relu_input": ("conv", 4, [8, 1, 1, 40], {"zero_point": -128, "fusedActivationFunction": 1}),
    "no_bias": ("conv", 8, [8, 1, 1, 40], {"bias": False}),
    "no_bias_relu_input": ("conv", 8, [8, 1, 1, 40], {"bias": False, "zero_point": -128}),
    "bias_left_out": ("conv", 8, [8, 1, 1, 40], {"bias": None}),
    "dense": ("fully_connected", 8, [12, 50], {"zero_point": 20}),
}


LSTM_CASES = {
    "lstm4": (4, 30, 17, {}),
    "lstm8": (8, 24, 32, {"steps": 3, "cell_clip": 0.7}),
    "lstm_mixed": ("mixed", 7, 5, {"zeros": (127, 40)}),
    "lstm_relu_state": (4, 40, 8, {"zeros": (-128, -128)}),
    "lstm_segments": (8, 300, 6, {"keep": 0.1}),
    "lstm_empty": (4, 12, 9, {"keep": 0.0}),
    "lstm_full": (8, 9, 4, {"keep": 1.0, "steps": 2}),
}


def case(name, seed=0):
    rng = np.random.default_rng(seed)
    if name in LSTM_CASES:
        bits, columns, cells, fields = LSTM_CASES[name]
        return lstm(rng, bits, columns, cells, **fields)
    kind, bits, shape, fields = CASES[name]
    return layer(rng, kind, bits, shape, **fields)


def inputs(model, count=12):
    rng = np.random.default_rng(5)
    shape = tuple(packing.read_model(model).subgraphs[0].tensors[0].shape)
    extremes = [np.full(shape, value, np.int8) for value in (-128, 127)]
    return extremes + [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(count)]


@pytest.mark.parametrize("name", [*CASES, *LSTM_CASES])
def test_packed_layers_give_what_stock_ones_give(native, reference, name):
    model = case(name)
    packed = packed_always(model)
    assert spec.ZERO_SKIP_OPERATOR.encode() in packed
    stock, ours, twin = Runner(native, model), Runner(native, packed), Runner(reference, packed)
    micro = Micro(model, 1)
    # LiteRT rounds FULLY_CONNECTED otherwise and has another LSTM, and its CONV_2D wants a bias.
    litert = None if name == "dense" or "bias" in name or name in LSTM_CASES else LiteRT(model)
    for x in inputs(model):
        expected = stock(x)
        assert ours(x) == twin(x) == expected == [micro(x)[0].tobytes()]
        assert ours.state == twin.state
        assert litert is None or litert(x)[0].tobytes() == expected[0]


@pytest.mark.parametrize("name", [*CASES, *LSTM_CASES])
def test_densified_layers_are_what_they_were(native, name):
    """Tensors, names, scales and biases; then packing again gives the same bytes."""
    model = case(name)
    packed = packed_always(model)
    dense, layers = packing.densify(packed)
    assert len(layers) == 1 and layers[0].packed
    assert dense == packing.written(packing.read_model(model))
    assert packed_always(dense) == packed


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 13),
    depth=st.integers(1, 530),
    bits=st.sampled_from([4, 8]),
    keep=st.sampled_from([0, 0.02, 0.25, 0.5, 1]),
    seed=st.integers(0, 1 << 30),
)
def test_any_matrix_comes_back(rows, depth, bits, keep, seed):
    rng = np.random.default_rng(seed)
    limit = 1 << bits - 1
    matrix = rng.integers(-limit, limit, (rows, depth)) * (rng.random((rows, depth)) < keep)
    data = encode(matrix, bits, bias=2)
    found, bias = decode(data, rows, depth, bits)
    assert bias == 2 and np.array_equal(found, matrix)
    x = rng.integers(0, 256, depth)
    sums = layout.sums(data, rows, depth, bits, x.tolist())
    assert sums[:rows] == (matrix @ x).tolist() and not any(sums[rows:])


def _refusals():
    """Name: (change of the packed tensor's bytes, error)."""
    first = spec.ZERO_SKIP_BYTES

    def put(code, offset, value):
        return lambda data: struct.pack_into(code, data, offset, value)

    def groups(data, amount):
        return struct.unpack_from("<I", data, spec.ZERO_SKIP_GROUP_COUNT_OFFSET)[0] + amount

    type_, cut = spec.ERROR_MODEL_TYPE, spec.ERROR_MODEL_TRUNCATED
    return {
        "magic": (put("B", 0, 0x41), type_),
        "version": (put("<H", spec.ZERO_SKIP_VERSION_OFFSET, 2), spec.ERROR_MODEL_VERSION),
        "bits": (put("B", spec.ZERO_SKIP_BITS_OFFSET, 8), type_),
        "bias": (put("B", spec.ZERO_SKIP_BIAS_OFFSET, 3), type_),
        "offset_far": (put("<I", spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET, 0xFFFFFFFC), cut),
        "offset_low": (put("<I", spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET, first), cut),
        "offset_odd": (put("<I", spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET, first + 6), cut),
        "more_groups": (lambda d: put("<I", spec.ZERO_SKIP_GROUP_COUNT_OFFSET, groups(d, 1))(d), cut),
        "groups_wrap": (put("<I", spec.ZERO_SKIP_GROUP_COUNT_OFFSET, 0x15555556), cut),
        "count_beyond_depth": (put("<H", first, 65), cut),
        "count_of_too_many": (put("<H", first + 2, 64), cut),
        "count_of_too_few": (put("<H", first + 2, 0), cut),
        "column_beyond_depth": (lambda d: put("B", _groups_at(d) + 3, 64)(d), cut),
        "columns_equal": (lambda d: put("B", _groups_at(d) + 3, d[_groups_at(d) + 2])(d), cut),
    }


def _groups_at(data):
    return struct.unpack_from("<I", data, spec.ZERO_SKIP_GROUPS_OFFSET_OFFSET)[0]


def damaged(model, change):
    at = model.index(spec.MAGIC_ZERO_SKIP.encode())
    changed = bytearray(model)
    part = bytearray(model[at:])
    change(part)
    changed[at:] = part
    return mb.seal(bytes(changed))


@pytest.mark.parametrize("name", _refusals())
def test_damaged_weights_are_refused(native, reference, name):
    model = packed_always(case("int4"))
    change, code = _refusals()[name]
    file = damaged(model, change)
    assert file != model
    found = check(native, file)
    assert found == check(reference, file)
    assert found[0] == -code, spec.ERRORS.get(-found[0])
    with pytest.raises(packing.UserError):
        packing.densify(file)


@pytest.mark.parametrize("index", [0, 1, 3])
def test_other_operands_are_refused(native, reference, index):
    """A packed tensor of another type or without data, weights with data, an x that is none."""
    model = packing.read_model(packed_always(case("int4")))
    operator = model.subgraphs[0].operators[0]
    operator.inputs[index] = operator.inputs[2]
    file = packing.written(model)
    found = check(native, file)
    assert found == check(reference, file)
    assert found[0] == -spec.ERROR_MODEL_TYPE


@pytest.mark.parametrize(
    ("index", "other", "code"),
    [
        (1, 12, spec.ERROR_MODEL_TYPE),  # weights with data
        (24, 12, spec.ERROR_MODEL_TYPE),  # a packed tensor of another type
        (28, 24, spec.ERROR_MODEL_TRUNCATED),  # of a matrix with more columns
        (32, 24, spec.ERROR_MODEL_TYPE),  # a recurrent bias of another type
        (32, 0, spec.ERROR_MODEL_TYPE),
        (9, 12, spec.ERROR_MODEL_OP),  # a peephole
    ],
)
def test_other_operands_of_an_lstm_are_refused(native, reference, index, other, code):
    model = packing.read_model(packed_always(lstm(np.random.default_rng(0), 8, 40, 8, keep=0.5)))
    operator = model.subgraphs[0].operators[0]
    operator.inputs[index] = operator.inputs[other]
    file = packing.written(model)
    found = check(native, file)
    assert found == check(reference, file)
    assert found[0] == -code, spec.ERRORS.get(-found[0])


@pytest.mark.parametrize("left", [24, 25, 32, 35])
def test_an_lstm_that_lacks_inputs_is_refused(native, reference, left):
    model = packing.read_model(packed_always(case("lstm4")))
    del model.subgraphs[0].operators[0].inputs[left:]
    file = packing.written(model)
    found = check(native, file)
    assert found == check(reference, file) and found[0] == -spec.ERROR_MODEL_OP
    if left < 32:
        with pytest.raises(packing.UserError):
            packing.densify(file)


def test_a_missing_input_is_refused(native, reference):
    model = packing.read_model(packed_always(case("int4")))
    del model.subgraphs[0].operators[0].inputs[3]
    file = packing.written(model)
    found = check(native, file)
    assert found == check(reference, file) and found[0] == -spec.ERROR_MODEL_TYPE


def test_other_custom_operators_are_refused(native, reference):
    model = packed_always(case("int4"))
    file = mb.seal(model.replace(spec.ZERO_SKIP_OPERATOR.encode(), b"StapesZeroSkap"))
    found = check(native, file)
    assert found == check(reference, file) and found[0] == -spec.ERROR_MODEL_OP


@pytest.mark.parametrize("make", [packed_layers, packed_lstm])
def test_any_damage_is_refused_or_run_alike(native, reference, make):
    """Bytes changed anywhere, and more often in the packed weights, with a right checksum; every cut."""
    model = make()
    assert assert_alike(native, reference, model)
    rng = np.random.default_rng(6)
    places = [model.index(spec.MAGIC_ZERO_SKIP.encode()), model.rindex(spec.MAGIC_ZERO_SKIP.encode())]
    accepted = 0
    for turn in range(1500):
        changed = bytearray(model)
        start = 0 if turn % 3 == 0 else places[turn % 2]
        stop = len(model) if turn % 3 == 0 else min(start + 90, len(model))
        for at in rng.integers(start, stop, rng.integers(1, 3)):
            changed[at] = int(rng.integers(0, 256)) if turn % 2 else changed[at] ^ 1 << int(rng.integers(0, 8))
        accepted += assert_alike(native, reference, resealed(model, bytes(changed)))
    assert 0 < accepted < 1500
    for length in range(0, len(model), 29):
        assert_alike(native, reference, resealed(model, model[:length]) if length > 64 else model[:length])
