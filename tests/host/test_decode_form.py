"""DECODE with pruned weights: our bytes expanded by TensorFlow Lite Micro's own kernel, and damaged ones refused."""

import numpy as np
import pytest
from stapes_tools.cli.main import main
from stapes_tools.convert import decode_form
from stapes_tools.convert import pack as packing
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.read import read_model
from tflite_micro.python.tflite_micro import runtime


def weights(shape, axis, channels, seed=0, zero_points=False):
    """A tensor of which three quarters are its zero point."""
    rng = np.random.default_rng(seed)
    points = rng.integers(-9, 10, channels) if zero_points else np.zeros(channels, np.int64)
    along = [1] * len(shape)
    along[axis] = channels
    zero = np.broadcast_to(points.reshape(along), shape)
    values = np.where(rng.random(shape) < 0.25, rng.integers(-127, 128, shape), zero).astype(np.int8)
    return Tensor("w", shape, "int8", (0.01,) * channels, tuple(map(int, points)), axis, values.tobytes())


def only_decode(tensor):
    """A model that expands a tensor and returns it, beside an input that is copied."""
    part = Subgraph("main", [Tensor("x", (1, 4), "int8", (0.1,), (0,)), tensor])
    mask, values = decode_form.encode(tensor)
    names = (("mask", mask), ("values", values))
    inputs = [part.add(Tensor(name, (len(data),), "uint8", data=data)) for name, data in names]
    part.tensors[1] = Tensor(
        tensor.name, tensor.shape, "int8", tensor.scale, tensor.zero_point, tensor.quantized_dimension
    )
    part.operators.append(packing.Operator(decode_form.KIND, inputs, [1]))
    part.inputs, part.outputs = [0], [1]
    return serialise(Model([part]))


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis", "channels"),
    [
        ((16, 24), 0, 1),
        ((16, 24), 0, 16),
        ((7, 3, 3, 5), 0, 7),
        ((1, 3, 3, 20), 3, 20),
        ((5, 13), 0, 5),
        ((3, 1), 0, 1),
    ],
)
def test_tensorflow_lite_micro_expands_what_we_write(shape, axis, channels, zero_points):
    tensor = weights(shape, axis, channels, zero_points=zero_points)
    interpreter = runtime.Interpreter.from_bytes(only_decode(tensor), arena_size=100_000)
    interpreter.set_input(np.zeros((1, 4), np.int8), 0)
    interpreter.invoke()
    assert np.array_equal(interpreter.get_output(0), tensor.array())
    assert decode_form.decode(tensor, *decode_form.encode(tensor)) == tensor.data


def test_the_bytes_are_those_of_the_format():
    tensor = Tensor("w", (1, 10), "int8", (1.0,), (0,), 0, np.array([0, 5, 0, 0, 0, 0, 0, -1, 0, 7], np.int8).tobytes())
    mask, values = decode_form.encode(tensor)
    assert mask == bytes([0b01000001, 0b01000000])
    assert values == bytes([2, 1, 0, 0, 1]) + bytes(11) + bytes([5, 255, 7])


def coded_layer():
    part = Subgraph("main", [Tensor("x", (1, 64), "int8", (0.1,), (3,)), Tensor("y", (1, 32), "int8", (0.1,), (-3,))])
    index = part.add(weights((32, 64), 0, 32))
    part.operate("FULLY_CONNECTED", [0, index, -1], [1])
    part.inputs, part.outputs = [0], [1]
    return packing.pack_for_decode(serialise(Model([part])))[0]


@pytest.mark.parametrize("at", [0, 1, 4])
def test_headers_of_another_kind_or_version_are_refused(capfd, tmp_path, at):
    data = bytearray(coded_layer())
    start = data.index(bytes([2, 1, 0, 0, 1]) + bytes(11))
    data[start + at] = 9
    path = tmp_path / "strange.tflite"
    path.write_bytes(bytes(data))
    assert main(["densify", str(path), str(tmp_path / "out.tflite")]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "DECODE" in said and str(path) in said


def test_masks_that_do_not_fit_are_refused():
    for change in ({"shape": (3,)}, {"data": bytes(256)}, {"data": b""}):
        model = read_model(coded_layer())
        part = model.subgraphs[0]
        mask = part.tensors[part.operators[0].inputs[0]]
        for name, value in change.items():
            setattr(mask, name, value)
        if "shape" in change:
            part.operators[0].inputs.pop()
        with pytest.raises(packing.UserError, match="damaged"):
            packing.densify(serialise(model))


def test_weights_that_decode_cannot_write_stay():
    tensor = weights((4, 64, 3, 3), 1, 64)
    assert not decode_form._is_coded(tensor)
    assert not decode_form._is_coded(weights((32, 64), 1, 1))
    assert decode_form._is_coded(weights((32, 64), 0, 1))
