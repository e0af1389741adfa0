"""Branches in the converter: the float network, the file, what is stored once, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from stapes_tools.cli.main import main
from stapes_tools.convert import forward
from stapes_tools.convert.board import plan
from stapes_tools.convert.branches import ARBITRATOR, HEAVY, LIGHT, check_branches
from stapes_tools.convert.equalise import equalise
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model
from stapes_tools.convert.grid import LOGIT_SCALE, Grid, activation_names, layer_channels
from stapes_tools.convert.metadata import Metadata, seal
from stapes_tools.convert.pack import densify, pack
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.read import read_model
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Block, Branching, random_parameters
from stapes_tools.convert.write import model_bytes, random_calibration, random_model, random_topology
from stapes_tools.errors import UserError

BRANCHING = Branching((1,), 8, 4)
TOPOLOGY = random_topology(branching=BRANCHING)
METADATA = Metadata(("<blank>", *(f"u{unit}" for unit in range(1, TOPOLOGY.units))))


def one_step_at_a_time(topology, parameters, features, threshold):
    """The network by its equations, one step after the other, with states; the oracle of encode_branching."""
    blocks, width = topology.blocks, topology.branching.arbitrator_width
    x = forward.dequantise_features(features)
    past = np.concatenate([np.zeros((topology.front_width - 1, x.shape[1]), np.float32), x])
    states = [np.zeros((block.width, topology.channels), np.float32) for block in blocks]
    heard = np.zeros((width, topology.branching.arbitrator_channels), np.float32)
    outputs, branches = [], []
    layer = lambda name, value: parameters[name + ".weight"] @ value + parameters[name + ".bias"]  # noqa: E731
    for t in range(len(x)):
        heard = np.roll(heard, -1, axis=0)
        heard[-1] = np.maximum(layer("arbitrator.front", x[t]), 0)
        mixed = (heard * parameters["arbitrator.depthwise.weight"]).sum(0) + parameters["arbitrator.depthwise.bias"]
        light = layer("arbitrator.output", np.maximum(mixed, 0))[0] < threshold
        prefix = "light." if light else ""
        window = past[t : t + topology.front_width]
        front = np.einsum("ckf,kf->c", parameters[prefix + "front.weight"], window) + parameters[prefix + "front.bias"]
        stream = np.maximum(front, 0)
        for index, state in enumerate(states):
            state[:] = np.roll(state, -1, axis=0)
            state[-1] = stream
            name = f"block{index}."
            d = (state * parameters[name + "depthwise.weight"]).sum(0) + parameters[name + "depthwise.bias"]
            if not light or index in topology.branching.light_blocks:
                stream = stream + np.maximum(layer(prefix + name + "pointwise", d), 0)
        outputs.append(layer(prefix + "projection", stream))
        branches.append(int(light))
    return np.array(outputs), np.array(branches)


@pytest.mark.parametrize("light_blocks", [(), (0,), (0, 1)])
def test_the_float_network_is_that_of_its_equations(light_blocks):
    topology = replace(TOPOLOGY, branching=replace(BRANCHING, light_blocks=light_blocks))
    parameters, shares = random_parameters(topology, 1), []
    for features in random_calibration(3):
        middle = float(np.median(forward.arbitrate(topology, parameters, features)))
        for threshold in (middle, -100.0, 100.0):
            expected, branches = one_step_at_a_time(topology, parameters, features, threshold)
            found, chosen = forward.encode_branching(topology, parameters, features, threshold)
            np.testing.assert_array_equal(chosen, branches)
            np.testing.assert_allclose(found, expected, atol=1e-3)
            shares.append(branches.mean())
    assert {0.0, 1.0} < set(shares)


def test_equalising_leaves_the_float_network_as_it_is():
    parameters, calibration = random_parameters(TOPOLOGY, 1), random_calibration(3)
    other = equalise(TOPOLOGY, parameters, calibration)
    assert not np.allclose(other["light.front.weight"], parameters["light.front.weight"])
    for threshold in (-100.0, 0.0, 100.0):
        found = [
            forward.logits(
                changed,
                forward.encode_branching(TOPOLOGY, changed, calibration[0], threshold)[0],
                forward.predict(changed, np.ones((60, 1), int)),
            )
            for changed in (parameters, other)
        ]
        np.testing.assert_allclose(found[1], found[0], atol=2e-2)


def test_what_the_branches_share_is_stored_once():
    model = read_model(random_model(7, branching=BRANCHING))
    assert [part.name for part in model.subgraphs] == [HEAVY, LIGHT, ARBITRATOR, "predictor", "joint"]
    data = serialise(model)
    for name in ("block1.depthwise.weight", "block1.depthwise.bias"):
        (found,) = {tensor.data for part in model.subgraphs for tensor in part.tensors if tensor.name == name}
        assert data.count(found) == 1
    alike = random_parameters(TOPOLOGY, 7)
    for name in [name for name in alike if name.startswith("light.")]:
        alike[name] = alike[name.removeprefix("light.")]
    sizes = [
        len(model_bytes(quantise(TOPOLOGY, parameters, random_calibration(7)), METADATA))
        for parameters in (alike, random_parameters(TOPOLOGY, 7))
    ]
    matrices = 24 * 360 + 24 * 24 + 16 * 24
    assert sizes[1] - sizes[0] >= matrices


def test_packing_goes_both_ways():
    data = random_model(7, channels=64, blocks=(Block(5),) * 2, bits=4, branching=BRANCHING)
    model = read_model(data)
    for part in model.subgraphs:
        for operator in part.operators:
            if operator.kind == "CONV_2D":
                tensor = part.tensors[operator.inputs[1]]
                values = bytearray(tensor.data)
                values[len(values) // 8 :] = bytes(len(values) - len(values) // 8)
                tensor.data = bytes(values)
    data = seal(serialise(model))
    packed, _ = pack(data)
    assert len(packed) < 0.8 * len(data)
    assert densify(packed)[0] == data


def test_the_arbitrators_scale_is_the_boards():
    calibration = random_calibration(3)
    result = quantise(TOPOLOGY, random_parameters(TOPOLOGY, 1), calibration)
    assert result.activations["arbitrator.output"] == LOGIT_SCALE == Scale(2.0**-4, 0)
    wrong = Grid(activations={"arbitrator.output": Scale(0.1, 0)})
    with pytest.raises(UserError, match="arbitrator's output has scale"):
        quantise(TOPOLOGY, random_parameters(TOPOLOGY, 1), calibration, grid=wrong)


def _changed(**changes):
    """A branched model whose light branch has another output 0 or state."""
    model = read_model(random_model(7, branching=BRANCHING))
    light = model.subgraphs[1]
    for index, change in changes.items():
        kind, number = index.split("_")
        place = getattr(light, kind)[int(number)]
        light.tensors[place] = replace(light.tensors[place], **change)
    return model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs_0": {"scale": (0.5,)}}, r"output 0 has scale \(0\.\d+,\) in encoder, \(0\.5,\) in encoder_light"),
        ({"inputs_2": {"zero_point": (3,)}}, r"input 2 has zero point \(-?\d+,\) in encoder, \(3,\) in encoder_light"),
        ({"inputs_1": {"shape": (1, 1, 3, 120)}}, r"input 1 has shape \(1, 1, 2, 120\) in encoder, \(1, 1, 3, 120\)"),
        ({"inputs_1": {"dtype": "int16"}}, r"input 1 has type int8 in encoder, int16 in encoder_light"),
    ],
)
def test_branches_that_disagree_are_refused_with_both_values(changes, message, tmp_path, capsys):
    model = _changed(**changes)
    with pytest.raises(UserError, match=message):
        check_branches(model.subgraphs)
    (tmp_path / "m.tflite").write_bytes(serialise(model))
    assert main(["pack", str(tmp_path / "m.tflite"), str(tmp_path / "out.tflite")]) == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))
    assert not (tmp_path / "out.tflite").exists()


@pytest.mark.parametrize("missing", [HEAVY, LIGHT, ARBITRATOR])
def test_a_missing_part_is_named(missing):
    model = read_model(random_model(7, branching=BRANCHING))
    with pytest.raises(UserError, match=f"no subgraph {missing}"):
        check_branches([part for part in model.subgraphs if part.name != missing])


def test_a_state_too_many_is_refused():
    model = Model(read_model(random_model(7, branching=BRANCHING)).subgraphs, "", {})
    model.subgraphs[1].inputs.append(model.subgraphs[1].inputs[-1])
    with pytest.raises(UserError, match="encoder has 4 inputs, encoder_light has 5"):
        check_branches(model.subgraphs)


def test_the_logit_must_have_the_boards_scale():
    model = read_model(random_model(7, branching=BRANCHING))
    part = model.subgraphs[2]
    part.tensors[part.outputs[0]] = replace(part.tensors[part.outputs[0]], scale=(0.5,))
    with pytest.raises(
        UserError, match=r"the logit has scale \(0\.0625,\) in the specification, \(0\.5,\) in arbitrator"
    ):
        check_branches(model.subgraphs)
    part.inputs = []
    with pytest.raises(UserError, match="has no input or no output"):
        check_branches(model.subgraphs)


def test_packed_weights_that_both_branches_have_are_stored_once():
    topology = replace(TOPOLOGY, channels=64, branching=Branching((0, 1), 8, 4))
    parameters = random_parameters(topology, 7)
    for name in topology.light_matrices:
        heavy = name.removeprefix("light.")
        parameters[heavy + ".weight"][:, 8:] = 0.0
        parameters |= {f"{name}.{kind}": parameters[f"{heavy}.{kind}"] for kind in ("weight", "bias")}
    alone = {name: values for name, values in parameters.items() if not name.startswith(("light.", "arbitrator."))}
    sizes, packs = [], []
    for one, values in ((topology, parameters), (replace(topology, branching=None), alone)):
        scales = {name: np.full(count, 0.02, np.float32) for name, count in layer_channels(one).items()}
        grid = Grid(scales, {name: Scale(0.0625, 0) for name in activation_names(one)})
        data = pack(model_bytes(quantise(one, values, [], grid=grid), METADATA))[0]
        tensors = [tensor for part in read_model(data).subgraphs for tensor in part.tensors]
        packs.append({tensor.data for tensor in tensors if tensor.name.endswith("/packed")})
        sizes.append(len(data))
    assert packs[0] == packs[1]
    assert len(packs[0]) >= 3
    assert sizes[0] - sizes[1] < 12_000  # operators, tensors and the arbitrator


def test_layers_of_equal_scales_have_one_set_of_multipliers_on_the_board():
    data = random_model(7, branching=Branching((0, 1), 8, 4))
    apart = read_model(data)
    for part in apart.subgraphs[:3]:
        part.name += "_apart"
    whole, alone = plan(data), plan(seal(serialise(apart)))
    part = read_model(data).subgraph(HEAVY)
    slots = [part.tensors[index] for index in (*part.inputs, part.outputs[0])]
    depthwise = 2 * (4 * 24 + 24)
    assert alone.total_bytes - whole.total_bytes == sum((np.prod(t.shape) + 7) // 8 * 8 for t in slots) + depthwise
    assert alone.state_bytes - whole.state_bytes == sum(np.prod(t.shape) for t in slots)


def test_inspect_shows_both_values(tmp_path, capsys):
    model = _changed(outputs_0={"scale": (0.5,)})
    (tmp_path / "m.tflite").write_bytes(seal(serialise(model)))
    assert main(["inspect", str(tmp_path / "m.tflite")]) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert re.search(
        r"the board refuses it: .*output 0 has scale \(0\.\d+,\) in encoder, \(0\.5,\) in encoder_light", shown
    )


def test_branches_are_not_sparsified_after_training(tmp_path, capsys):
    (tmp_path / "m.tflite").write_bytes(random_model(7, branching=BRANCHING))
    assert main(["sparsify", str(tmp_path / "m.tflite"), str(tmp_path / "out.tflite")]) == 2
    assert "the model has branches" in capsys.readouterr().err.replace("\n", " ")
