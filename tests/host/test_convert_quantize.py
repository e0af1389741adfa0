"""Quantisation: ranges, rounding, bias correction and equalisation keep the float network's answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stapes_tools.convert import forward, quantize
from stapes_tools.convert.equalise import equalise
from stapes_tools.convert.fidelity import measure
from stapes_tools.convert.metadata import Metadata
from stapes_tools.convert.quantize import (
    centred_output,
    choose_scale,
    dequantise_weights,
    log_softmax,
    quantise,
    quantise_weights,
    scale_for_range,
)
from stapes_tools.convert.read import read_model
from stapes_tools.convert.topology import Block, Topology, check_parameters, parameter_shapes, random_parameters
from stapes_tools.convert.write import model_bytes, random_calibration, random_topology, write_model
from stapes_tools.errors import UserError

VARIANTS = {
    "default": {},
    "context2": {"context_size": 2},
    "dilated": {"blocks": (Block(3, 2), Block(2, 5))},
    "signed": {"depthwise_relu": True, "pointwise_relu": False},
    "sum_relu": {"pointwise_relu": False, "sum_relu": True},
    "no_blocks": {"blocks": ()},
}


def _network(seed, spread=0.7, **changes):
    """A random network whose logits differ by a few nats and whose channels are of unequal size."""
    topology = random_topology(**changes)
    parameters = random_parameters(topology, seed)
    rng = np.random.default_rng(seed)
    for name, values in parameters.items():
        if name.endswith("pointwise.weight"):
            np.multiply(values, 0.5 * np.exp(rng.normal(0.0, spread, (topology.channels, 1))), out=values)
    parameters["projection.weight"] *= 0.1
    parameters["joint.weight"] *= 2.0
    return topology, parameters


def _fidelity(topology, parameters):
    """The model file in our kernels against the float network, on utterances it was not calibrated on."""
    result = quantise(topology, parameters, random_calibration(1, utterances=8, steps=100))
    data = model_bytes(result, Metadata(tuple("u{}".format(k) for k in range(topology.units))))
    return measure(data, topology, parameters, random_calibration(99, utterances=2, steps=60))


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_int8_model_keeps_the_float_models_distribution(changes):
    topology, parameters = _network(3, **changes)
    found = _fidelity(topology, parameters)
    assert found.evaluations >= 120
    assert found.divergence_nats < 0.005
    assert found.best_unit_agreement > 0.9
    assert found.largest_difference < 0.25


def test_centred_logits_mean_the_same_in_a_smaller_range():
    rng = np.random.default_rng(0)
    hidden = np.maximum(rng.normal(0, 1, (500, 16)), 0).astype(np.float32)
    weight, bias = rng.normal(0, 1, (40, 16)).astype(np.float32), rng.normal(0, 1, 40).astype(np.float32)
    weight += rng.normal(0, 5, 16).astype(np.float32)
    centred = centred_output(hidden, weight, bias, ridge=0.01)
    before, after = hidden @ weight.T + bias, hidden @ centred[0].T + centred[1]
    np.testing.assert_allclose(log_softmax(after), log_softmax(before), atol=1e-3)
    assert np.ptp(after.max(axis=1)) < 0.2 * np.ptp(before.max(axis=1))


def test_a_model_of_other_weights_is_told_apart():
    topology, parameters = _network(3)
    _, other = _network(4)
    data = model_bytes(
        quantise(topology, other, random_calibration(1)), Metadata(tuple(str(k) for k in range(topology.units)))
    )
    found = measure(data, topology, parameters, random_calibration(99, utterances=1, steps=60))
    assert found.divergence_nats > 0.3
    assert found.best_unit_agreement < 0.6
    with pytest.raises(UserError, match="no utterances"):
        measure(data, topology, parameters, [])


def test_equalisation_lowers_the_error_of_uneven_channels(monkeypatch):
    networks = [_network(seed, spread=1.2, channels=48, blocks=(Block(5),) * 4) for seed in range(2)]
    equalised = [_fidelity(*network).divergence_nats for network in networks]
    monkeypatch.setattr(quantize, "equalise", lambda topology, parameters, calibration: parameters)
    plain = [_fidelity(*network).divergence_nats for network in networks]
    assert sum(equalised) < 0.8 * sum(plain), (equalised, plain)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_equalised_network_is_the_same_function(changes):
    topology, parameters = _network(5, **changes)
    calibration = random_calibration(2)
    changed = equalise(topology, parameters, calibration)
    check_parameters(topology, changed)
    labels = np.random.default_rng(0).integers(0, topology.units, (60, topology.context_size))
    logits = [
        forward.logits(p, forward.encode(topology, p, calibration[0]), forward.predict(p, labels))
        for p in (parameters, changed)
    ]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-3, atol=1e-3)
    assert not np.array_equal(parameters["projection.weight"], changed["projection.weight"])


def test_streaming_steps_equal_the_whole_utterance():
    """What the encoder gives for a prefix does not depend on what follows: it is causal."""
    topology, parameters = _network(6, blocks=(Block(3, 2), Block(5)))
    features = random_calibration(7, utterances=1, steps=50)[0]
    whole = forward.encode(topology, parameters, features)
    np.testing.assert_allclose(forward.encode(topology, parameters, features[:20]), whole[:20], rtol=1e-4, atol=1e-4)
    assert topology.receptive_steps == 3 + 4 + 4


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_a_range_holds_zero_exactly_and_its_ends_nearly(a, b):
    low, high = min(a, b), max(a, b)
    scale = scale_for_range(low, high)
    assert -128 <= scale.zero_point <= 127
    assert scale.dequantise(scale.quantise(np.zeros(1, np.float32)))[0] == 0.0
    ends = np.array([low, high], np.float32)
    assert np.all(np.abs(scale.round_trip(ends) - ends) <= 1.01 * scale.scale)


def test_outliers_are_clipped():
    values = np.abs(np.random.default_rng(0).normal(0, 1, (1_950, 100))).astype(np.float32)
    values[0, 0] = 12.0
    scale = choose_scale(values)
    assert scale.zero_point == -128
    assert scale.scale < 0.85 * 12.0 / 255


def test_weights_use_the_narrow_range_and_zero_channels_survive():
    weight = np.array([[1.0, -2.0], [0.0, 0.0], [1e-12, 0.0]], np.float32)
    result = quantise_weights(weight, np.array([0.5, 3.0, -7.0], np.float32), 0.05)
    assert result.integers.tolist()[0] == [64, -127]
    assert np.all(result.scales > 0)
    back, bias = dequantise_weights(result, 0.05)
    np.testing.assert_allclose(bias, [0.5, 3.0, -7.0], atol=0.001)
    np.testing.assert_allclose(back, weight, atol=0.01)
    assert result.bias.dtype == np.int32
    assert np.abs(result.bias.astype(np.int64)).max() <= 1 << 30


def test_extreme_features_stay_in_range():
    topology, parameters = _network(8)
    calibration = [np.full((30, 120), 127, np.int8), np.full((30, 120), -128, np.int8), np.zeros((1, 120), np.int8)]
    data = model_bytes(quantise(topology, parameters, calibration), Metadata(tuple(str(k) for k in range(40))))
    for part in read_model(data).subgraphs:
        for tensor in part.tensors:
            assert all(np.isfinite(scale) and scale > 0 for scale in tensor.scale)


def test_bad_input_is_refused(tmp_path):
    topology, parameters = _network(1)
    calibration = random_calibration(1)
    with pytest.raises(UserError, match="at least one utterance"):
        quantise(topology, parameters, [])
    with pytest.raises(UserError, match=r"calibration utterance 0 is float32 \[4, 120\]"):
        quantise(topology, parameters, [np.zeros((4, 120), np.float32)])
    with pytest.raises(UserError, match=r"front\.bias is missing"):
        quantise(topology, {k: v for k, v in parameters.items() if k != "front.bias"}, calibration)
    with pytest.raises(UserError, match=r"block9\.bias does not belong"):
        quantise(topology, {**parameters, "block9.bias": np.zeros(1)}, calibration)
    with pytest.raises(UserError, match=r"front\.bias has shape \(3,\)"):
        quantise(topology, {**parameters, "front.bias": np.zeros(3)}, calibration)
    with pytest.raises(UserError, match="not finite"):
        quantise(topology, {**parameters, "front.bias": np.full(24, np.nan)}, calibration)
    with pytest.raises(UserError, match="39 unit names for 40 units"):
        model_bytes(quantise(topology, parameters, calibration), Metadata(tuple(str(k) for k in range(39))))
    with pytest.raises(UserError, match=r"no/such/m\.tflite: cannot write the model: No such file"):
        write_model("no/such/m.tflite", topology, parameters, calibration, Metadata(tuple(str(k) for k in range(40))))
    with pytest.raises(UserError, match="units is 65"):
        Topology(channels=8, blocks=(), joint=8, units=65)
    with pytest.raises(UserError, match="block 1 needs width"):
        Topology(channels=8, blocks=(Block(), Block(1)), joint=8, units=40)


def test_written_file_equals_the_bytes(tmp_path):
    topology, parameters = _network(2)
    calibration, metadata = random_calibration(1), Metadata(tuple(str(k) for k in range(40)))
    path = tmp_path / "model.tflite"
    count = write_model(path, topology, parameters, calibration, metadata, description="a test")
    assert path.read_bytes() == model_bytes(quantise(topology, parameters, calibration), metadata, "a test")
    assert count == path.stat().st_size
    assert read_model(path.read_bytes()).description == "a test"
    assert set(parameter_shapes(topology)) == set(parameters)
