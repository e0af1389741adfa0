"""`stapes pack` and `stapes densify`: sizes, exactness both ways, and files that are not ours."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from oracle_runners import assert_equal_runs, random_steps, run_kernels, run_litert, run_tflm
from stapes_tools import kernels
from stapes_tools.bench.samples import add_lstm
from stapes_tools.cli.main import main
from stapes_tools.convert import pack as packing
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.inspect import describe, totals
from stapes_tools.convert.metadata import is_sealed, seal
from stapes_tools.convert.read import read_model
from stapes_tools.convert.write import random_model

PARTS = ("encoder", "predictor", "joint")
STEPS = 40


def prune(model, rng, keep):
    """Set blocks of four outputs by one input of every dense layer to zero."""
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
                tensor = subgraph.tensors[operator.inputs[1]]
                matrix = tensor.array().reshape(tensor.shape[0], -1)
                kept = rng.random(((len(matrix) + 3) // 4, matrix.shape[1])) < keep
                tensor.data = packing._stored(matrix * np.repeat(kept, 4, axis=0)[: len(matrix)], tensor.dtype)
    return model


def sparse_model(bits, keep=0.25, **changes):
    return seal(serialise(prune(read_model(random_model(7, bits=bits, **changes)), np.random.default_rng(3), keep)))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    "changes", [{"channels": 64}, {"channels": 64, "pointwise_relu": False}], ids=["relu", "signed"]
)
def test_our_models_both_ways(bits, changes):
    data = sparse_model(bits, **changes)
    packed, layers = packing.pack(data)
    assert is_sealed(packed) and len(packed) < 0.8 * len(data)
    assert all(layer.packed for layer in layers)
    dense, _ = packing.densify(packed)
    assert dense == data
    assert packing.pack(dense)[0] == packed
    for part in PARTS:
        steps = random_steps(data, part, STEPS, seed=2)
        expected = run_litert(dense, part, steps)
        assert_equal_runs(expected, run_tflm(dense, part, steps), "TensorFlow Lite Micro")
        assert_equal_runs(expected, run_kernels(kernels, packed, part, steps), "the packed kernels")


def lstm_net(bits):
    """LSTM of 40 inputs and 64 cells, then FULLY_CONNECTED, in the manner of a keyword net; 75 % zeros."""
    rng = np.random.default_rng(4)
    part = Subgraph("main")
    limit = 7 if bits == 4 else 127

    def matrix(rows, depth):
        kept = np.repeat(rng.random((rows // 4, depth)) < 0.25, 4, axis=0)
        return (rng.integers(-limit, limit + 1, (rows, depth)) * kept).astype(np.int8)

    x = part.add(Tensor("features", (1, 4, 40), "int8", (0.0625,), (3,)))
    y = add_lstm(part, x, [matrix(64, 40 if k < 4 else 64) for k in range(8)], 0.3 / limit, steps=4)
    flat = part.add(Tensor("flat", (1, 256), "int8", (1 / 110,), (-5,)))
    shape = part.constant("shape", np.array([1, 256], np.int32))
    _operate(part, "RESHAPE", "ReshapeOptions", [y, shape], [flat], {"NewShape": (1, 256)})
    dense = part.constant("dense", matrix(12, 256), scale=(0.3 / limit,), zero_point=(0,))
    out = part.add(Tensor("out", (1, 12), "int8", (0.1,), (0,)))
    part.operate("FULLY_CONNECTED", [flat, dense, -1], [out])
    part.inputs, part.outputs = [x], [out]
    return serialise(Model([part]))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_net_with_an_lstm_both_ways(bits):
    data = lstm_net(bits)
    packed, layers = packing.pack(data)
    assert [layer.packed for layer in layers] == [True, True]
    assert (layers[0].rows, layers[0].depth, layers[0].packed_bits) == (256, 104, bits)
    assert len(packed) < (0.55 if bits == 4 else 0.75) * len(data)
    dense, back = packing.densify(packed)
    assert read_model(dense) == read_model(data)
    assert back[0].packed and back[0].zeros == layers[0].zeros
    assert packing.pack(dense)[0] == packed
    after, before = describe(packed)[0], describe(data)[0]
    assert after.weights == before.weights == 256 * 104
    assert after.zero_weights == before.zero_weights > 0.7 * 256 * 104
    assert after.multiplications == before.multiplications == 4 * 256 * 104


def test_what_does_not_pay_stays():
    data = random_model(7, bits=4)
    packed, layers = packing.pack(data)
    assert packed == data and layers and not any(layer.packed for layer in layers)


def test_inspection_counts_packed_weights():
    data = sparse_model(8)
    before, after = totals(describe(data)), totals(describe(packing.pack(data)[0]))
    assert (after.weights, after.zero_weights) == (before.weights, before.zero_weights)
    assert after.multiplications == before.multiplications
    assert after.constant_bytes < before.constant_bytes


def separable_net():
    """A keyword net in the manner of DS-CNN (arXiv:1711.07128), small, with a pool and a softmax that we do not run."""
    rng = np.random.default_rng(0)
    part = Subgraph("main")

    def activation(shape):
        part.add(Tensor(f"a{len(part.tensors)}", shape, "int8", (0.1,), (-128,), signature=(-1, *shape[1:])))
        return len(part.tensors) - 1

    def constants(shape, axis=0):
        outputs = shape[axis]
        scale = tuple(float(np.float32(s)) for s in rng.uniform(0.002, 0.004, outputs))
        quantisation = {"scale": scale, "zero_point": (0,) * outputs, "quantized_dimension": axis}
        weights = part.constant(f"w{len(part.tensors)}", rng.integers(-127, 128, shape, dtype=np.int8), **quantisation)
        bias = part.constant(f"b{len(part.tensors)}", rng.integers(-999, 999, outputs, dtype=np.int32))
        return [weights, bias]

    options = {"Padding": 0, "StrideW": 1, "StrideH": 1, "FusedActivationFunction": 1}
    x = part.add(Tensor("features", (1, 25, 5, 16), "int8", (0.1,), (3,)))
    part.inputs.append(x)
    for _ in range(2):
        y = activation((1, 25, 5, 16))
        part.operate("DEPTHWISE_CONV_2D", [x, *constants((1, 3, 3, 16), 3)], [y], DepthMultiplier=1, **options)
        x = activation((1, 25, 5, 16))
        part.operate("CONV_2D", [y, *constants((16, 1, 1, 16))], [x], **options)
    pooled = activation((1, 1, 1, 16))
    pool = {"Padding": 1, "StrideW": 5, "StrideH": 25, "FilterWidth": 5, "FilterHeight": 25}
    _operate(part, "AVERAGE_POOL_2D", "Pool2DOptions", [x], [pooled], pool)
    logits = part.add(Tensor("logits", (1, 64), "int8", (0.2,), (5,)))
    part.operate("FULLY_CONNECTED", [pooled, *constants((64, 16))], [logits])
    out = part.add(Tensor("probabilities", (1, 64), "int8", (1 / 256,), (-128,)))
    _operate(part, "SOFTMAX", "SoftmaxOptions", [logits], [out], {"Beta": 1.0})
    part.outputs.append(out)
    return serialise(prune(Model([part]), rng, 0.25))


def _operate(part, kind, table, inputs, outputs, options):
    part.operators.append(packing.Operator(kind, inputs, outputs, options, 2, table=table))


def run(data, x):
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_net_that_is_not_ours_both_ways():
    data = separable_net()
    packed, layers = packing.pack(data)
    assert len(layers) == 3 and all(layer.packed for layer in layers)
    kinds = [(operator.kind, operator.packed) for operator in read_model(packed).subgraphs[0].operators]
    assert ("FULLY_CONNECTED", True) in kinds and ("SOFTMAX", False) in kinds
    dense, _ = packing.densify(packed)
    assert read_model(dense) == read_model(data)
    assert packing.pack(dense)[0] == packed and packing.densify(packing.pack(dense)[0])[0] == dense
    x = np.random.default_rng(1).integers(-128, 128, (1, 25, 5, 16), dtype=np.int8)
    assert np.array_equal(run(dense, x), run(data, x)) and len(np.unique(run(data, x))) > 3


def test_command_line(capfd, tmp_path):
    source, packed, dense = (tmp_path / f"{name}.tflite" for name in ("source", "packed", "dense"))
    source.write_bytes(sparse_model(4, channels=64))
    assert main(["pack", str(source), str(packed)]) == 0
    assert "packed" in capfd.readouterr().out
    assert packed.stat().st_size < source.stat().st_size
    assert main(["densify", str(packed), str(dense)]) == 0
    assert dense.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("verb", ["pack", "densify"])
def test_bad_files_are_refused_in_one_line(capfd, tmp_path, verb):
    good = packing.pack(sparse_model(8))[0]
    at = good.index(b"STPZ")
    for content in (b"", b"x" * 99, good[:200], good[: at + 4] + b"\x09" + good[at + 5 :]):
        source = tmp_path / "bad.tflite"
        source.write_bytes(content)
        code = main([verb, str(source), str(tmp_path / "out.tflite")])
        said = capfd.readouterr().err
        if code == 0:  # pack leaves what is packed already as it is
            assert verb == "pack"
            continue
        assert code == 2 and said.count("\n") == 1 and str(source) in said
    assert main([verb, str(tmp_path / "none.tflite"), str(tmp_path / "out.tflite")]) == 2
