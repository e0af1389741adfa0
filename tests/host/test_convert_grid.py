"""Weights of 4 bits, zeros, and grids that training has fixed."""

import numpy as np
import pytest
from stapes_tools.convert import forward
from stapes_tools.convert.equalise import equalise
from stapes_tools.convert.fidelity import measure
from stapes_tools.convert.graph import pack_int4, unpack_int4
from stapes_tools.convert.grid import Grid, activation_names, four_bits, is_depthwise, layer_channels
from stapes_tools.convert.metadata import Metadata
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.read import read_model
from stapes_tools.convert.scales import WEIGHT_MAX, Scale, dequantise_weights
from stapes_tools.convert.topology import random_parameters
from stapes_tools.convert.write import model_bytes, random_calibration, random_topology, write_model
from stapes_tools.errors import UserError

CALIBRATION = random_calibration(1)


def _layer_name(parameter):
    """The layer that a parameter's name belongs to: joint.weight is that of logits."""
    return parameter.replace("joint", "logits").removesuffix(".weight")


def _sparse_network(seed=3, share=0.75, **changes):
    """A random network most of whose encoder weights are exactly zero, a whole row of each matrix included."""
    topology = random_topology(**changes)
    parameters = random_parameters(topology, seed)
    rng = np.random.default_rng(seed)
    for layer in forward.encoder_layers(topology):
        weight = parameters[layer.name + ".weight"]
        weight[rng.random(weight.shape) < share] = 0.0
        weight[0] = 0.0
    return topology, parameters


def _random_grid(topology, parameters, seed=0):
    """Scales at which some weights and activations are clipped, in every layer."""
    rng = np.random.default_rng(seed)
    scales = {}
    for name, channels in layer_channels(topology).items():
        largest = np.abs(parameters[name.replace("logits", "joint") + ".weight"]).max()
        scales[name] = (largest / 7 * rng.uniform(0.5, 1.5, channels)).astype(np.float32)
    activations = {
        name: Scale(float(np.float32(rng.uniform(0.02, 0.05))), int(rng.integers(-128, 128)))
        for name in activation_names(topology)
    }
    return Grid(scales, activations)


def _metadata(topology):
    return Metadata(tuple("u{}".format(k) for k in range(topology.units)))


def test_nibbles_go_low_first_in_twos_complement():
    assert pack_int4(np.array([1, -1, 7, -7, -8], np.int8)) == bytes([0xF1, 0x97, 0x08])
    values = np.random.default_rng(0).integers(-8, 8, (3, 1, 5, 7), dtype=np.int8)
    assert np.array_equal(unpack_int4(pack_int4(values), values.size), values.ravel())
    assert pack_int4(np.zeros(0, np.int8)) == b""


@pytest.mark.parametrize("grid", [False, True], ids=["chosen", "given"])
@pytest.mark.parametrize("bits", [8, 4])
def test_zero_weights_stay_zero(bits, grid):
    topology, parameters = _sparse_network()
    result = quantise(
        topology,
        parameters,
        CALIBRATION,
        weight_bits=four_bits(topology) if bits == 4 else None,
        grid=_random_grid(topology, parameters) if grid else None,
    )
    equalised = equalise(topology, parameters, CALIBRATION)
    for layer in forward.encoder_layers(topology):
        zeros = parameters[layer.name + ".weight"] == 0.0
        assert zeros.mean() > 0.7
        assert not np.any(equalised[layer.name + ".weight"][zeros])
        assert not np.any(result.layers[layer.name].integers[zeros])
        assert np.any(result.layers[layer.name].integers)


def test_four_bits_are_chosen_by_layer():
    topology, parameters = random_topology(), random_parameters(random_topology(), 1)
    bits = {**four_bits(topology), "block1.pointwise": 8}
    assert list(bits) == ["front", "block0.pointwise", "block1.pointwise", "projection"]
    result = quantise(topology, parameters, CALIBRATION, weight_bits=bits)
    for name, weights in result.layers.items():
        limit = WEIGHT_MAX[bits.get(name, 8)]
        axes = (0,) if is_depthwise(name) else tuple(range(1, weights.integers.ndim))
        assert weights.bits == bits.get(name, 8)
        assert np.all(np.abs(weights.integers).max(axis=axes) == limit)
    encoder = read_model(model_bytes(result, _metadata(topology))).subgraph("encoder")
    for operator in encoder.operators:
        if "CONV" in operator.kind:
            name, tensor = encoder.tensors[operator.outputs[0]].name, encoder.tensors[operator.inputs[1]]
            four = bits.get(name, 8) == 4
            assert (tensor.dtype, operator.version) == (("int4", 7) if four else ("int8", 3))
            assert np.array_equal(tensor.array().ravel(), result.layers[name].integers.ravel())
            assert len(tensor.data) == (tensor.array().size + 1) // 2 if four else tensor.array().size


@pytest.mark.parametrize("context_size", [1, 2])
def test_a_complete_grid_leaves_nothing_to_choose(context_size):
    topology, parameters = _sparse_network(context_size=context_size)
    grid, bits = _random_grid(topology, parameters), four_bits(topology)
    result = quantise(topology, parameters, [], weight_bits=bits, grid=grid)
    assert set(result.layers) == set(grid.weight_scales)
    assert result.activations == {**grid.activations, "features": Scale(forward.FEATURE_SCALE, 0)}
    for parameter, values in parameters.items():
        name = _layer_name(parameter)
        if name not in result.layers:
            continue
        weights, limit = result.layers[name], WEIGHT_MAX[bits.get(name, 8)]
        scales = (
            grid.weight_scales[name]
            if is_depthwise(name)
            else grid.weight_scales[name].reshape(-1, *[1] * (values.ndim - 1))
        )
        assert np.array_equal(weights.integers, np.clip(np.rint(values / scales), -limit, limit))
        assert np.array_equal(weights.scales, grid.weight_scales[name])
        assert limit == 127 or np.any(np.abs(values) > 7.5 * scales), "nothing is clipped: this proves little"
    rows = ["predicted"] if context_size == 1 else ["row0", "row1"]
    for table, name, values in zip(result.tables, rows, parameters["predictor.table"], strict=True):
        assert np.array_equal(table, grid.activations[name].quantise(values))
    again = quantise(topology, parameters, CALIBRATION, weight_bits=bits, grid=grid)
    assert model_bytes(again, _metadata(topology)) == model_bytes(result, _metadata(topology))


def test_biases_are_rounded_and_not_corrected():
    topology, parameters = _sparse_network()
    grid = _random_grid(topology, parameters)
    result = quantise(topology, parameters, [], grid=grid)
    inputs = {"front": "features", "block0.depthwise": "front", "block0.pointwise": "block0.depthwise"}
    inputs |= {"block1.depthwise": "block0.sum", "block1.pointwise": "block1.depthwise", "projection": "block1.sum"}
    inputs["logits"] = "hidden"
    assert set(inputs) == set(result.layers)
    for name, source in inputs.items():
        bias = parameters[name.replace("logits", "joint") + ".bias"]
        scales = np.float64(result.activations[source].scale) * grid.weight_scales[name]
        assert np.array_equal(result.layers[name].bias, np.rint(bias / scales))


def test_a_network_on_its_grid_is_kept():
    """What quantise chose, handed in again as float parameters and their grid, comes out the same."""
    topology = random_topology()
    bits = four_bits(topology)
    first = quantise(topology, random_parameters(topology, 5), CALIBRATION, weight_bits=bits)
    parameters = {"predictor.table": first.activations["predicted"].dequantise(first.tables[0])[None]}
    source = "features"
    for name, weights in first.layers.items():
        axis = -1 if is_depthwise(name) else 0
        target = name.replace("logits", "joint")
        source = "hidden" if name == "logits" else source
        pair = dequantise_weights(weights, first.activations[source].scale, axis)
        parameters[target + ".weight"], parameters[target + ".bias"] = pair
        source = name.replace("pointwise", "sum")
    activations = {name: scale for name, scale in first.activations.items() if name != "features"}
    grid = Grid({name: weights.scales for name, weights in first.layers.items()}, activations)
    again = quantise(topology, parameters, [], weight_bits=bits, grid=grid)
    assert model_bytes(again, _metadata(topology)) == model_bytes(first, _metadata(topology))


def test_what_a_grid_leaves_out_is_chosen():
    """As a trainer gives it: the matrices of the encoder and all activations but the logits."""
    topology, parameters = random_topology(), random_parameters(random_topology(), 4)
    bits = four_bits(topology)
    chosen = quantise(topology, parameters, CALIBRATION, weight_bits=bits)
    activations = {k: v for k, v in chosen.activations.items() if k not in ("features", "logits")}
    axes = {name: tuple(range(1, parameters[name + ".weight"].ndim)) for name in bits}
    scales = {name: np.abs(parameters[name + ".weight"]).max(axis=axes[name]) / 7 for name in bits}
    grid = Grid(scales, activations)
    result = quantise(topology, parameters, CALIBRATION, weight_bits=bits, grid=grid)
    assert {k: v for k, v in result.activations.items() if k not in ("features", "logits")} == activations
    for name in bits:
        assert np.array_equal(result.layers[name].scales, scales[name].astype(np.float32))
    for name in ("block0.depthwise", "block1.depthwise"):
        largest = np.abs(parameters[name + ".weight"]).max(axis=0)
        np.testing.assert_allclose(result.layers[name].scales, largest / 127, rtol=1e-6)
    with pytest.raises(UserError, match="at least one utterance"):
        quantise(topology, parameters, [], weight_bits=bits, grid=grid)


def test_given_logits_are_not_centred():
    topology, parameters = random_topology(), random_parameters(random_topology(), 4)
    free = quantise(topology, parameters, CALIBRATION)
    given = quantise(topology, parameters, CALIBRATION, grid=Grid(activations={"logits": Scale(0.125, 3)}))
    assert given.activations["logits"] == Scale(0.125, 3)
    largest = np.abs(parameters["joint.weight"]).max(axis=1)
    np.testing.assert_allclose(given.layers["logits"].scales, largest / 127, rtol=1e-6)
    assert not np.allclose(free.layers["logits"].scales, largest / 127, rtol=1e-2)


def test_fine_grid_keeps_the_float_networks_distribution():
    topology, parameters = random_topology(), random_parameters(random_topology(), 6)
    parameters["projection.weight"] *= 0.1
    chosen = quantise(topology, parameters, CALIBRATION)
    activations = {k: v for k, v in chosen.activations.items() if "sum" in k}
    data = model_bytes(
        quantise(topology, parameters, CALIBRATION, grid=Grid(activations=activations)), _metadata(topology)
    )
    assert measure(data, topology, parameters, random_calibration(9, utterances=1)).divergence_nats < 0.02


@pytest.mark.parametrize(
    ("bits", "grid", "message"),
    [
        ({"block0.depthwise": 4}, Grid(), "block0.depthwise: a depthwise layer must have 8"),
        ({"front": 5}, Grid(), "weight bits of layer front: 5, must be 8 or 4"),
        ({"joint": 4}, Grid(), "weight bits: layer joint does not belong"),
        ({}, Grid({"joint": np.ones(40)}), "grid: layer joint does not belong"),
        ({}, Grid({"front": np.ones(23)}), r"grid: layer front has scales \(23,\), must be \[24\]"),
        ({}, Grid({"front": np.zeros(24)}), r"grid: a scale of layer front is 0\.0"),
        ({}, Grid({"front": np.full(24, np.nan)}), "grid: a scale of layer front is nan"),
        ({}, Grid({"front": np.full(24, 1e-9)}), "layer front: the given weight scales are too small for the biases"),
        ({}, Grid(activations={"features": Scale(0.1, 0)}), "activation features does not belong"),
        ({}, Grid(activations={"front": Scale(-0.1, 0)}), r"a scale of activation front is -0\.1"),
        ({}, Grid(activations={"front": Scale(1e-40, 0)}), "a scale of activation front is 1e-40"),
        ({}, Grid(activations={"front": Scale(0.1, 128)}), "activation front has zero point 128"),
    ],
)
def test_bits_and_grids_that_do_not_fit_are_refused(tmp_path, bits, grid, message):
    topology, parameters = random_topology(), random_parameters(random_topology(), 1)
    with pytest.raises(UserError, match=message):
        write_model(
            tmp_path / "m.tflite", topology, parameters, CALIBRATION, _metadata(topology), weight_bits=bits, grid=grid
        )
