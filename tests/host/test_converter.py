"""Public models and ours through convert, inspect, sparsify, pack and densify: exact where nothing may change."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import public_models
import pytest
import soundfile
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from stapes_tools.cli.main import main
from stapes_tools.convert import calibration, decode_form
from stapes_tools.convert import pack as packing
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.layers import find_layers, matrix
from stapes_tools.convert.read import read_model
from stapes_tools.convert.split import extract_subgraph
from tflite_micro.python.tflite_micro import runtime

REPO = Path(__file__).resolve().parents[2]
SAMPLES = REPO / "models" / "samples"
OURS = [REPO / "models" / name / "model.tflite" for name in ("general", "coffee")]
PUBLIC = ("fitted", "keyword_net", "lstm_net")
ARENA_BYTES = 400_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """NAME.keras, NAME.npy and NAME.tflite of every public model."""
    path = tmp_path_factory.mktemp("public")
    for name in PUBLIC:
        keras_file, rows = public_models.save(path, name)
        assert main(["convert", str(keras_file), str(path / f"{name}.tflite"), "--calibration", str(rows)]) == 0
    return path


@pytest.fixture(scope="module")
def sparse(folder):
    """NAME_sparse.tflite beside them."""
    for name in PUBLIC:
        source, target = (folder / f"{name}{end}.tflite" for end in ("", "_sparse"))
        assert main(["sparsify", str(source), str(target), "--calibration", str(folder / f"{name}.npy")]) == 0
    return folder


def quantised(data, rows):
    tensor = read_model(data).subgraphs[0].tensors[read_model(data).subgraphs[0].inputs[0]]
    integers = np.rint(rows / tensor.scale[0]) + tensor.zero_point[0]
    return np.clip(integers, -128, 127).astype(np.int8)[:, None]


def run_tflm(data, steps):
    """First outputs of TensorFlow Lite Micro, one new interpreter per step: LSTMs start from zero."""
    found = []
    for step in steps:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=ARENA_BYTES)
        interpreter.set_input(step, 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0).copy())
    return np.concatenate(found)


def run_litert(data, steps):
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    found = []
    for step in steps:
        interpreter.reset_all_variables()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], step)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(found)


def real(data, integers):
    tensor = read_model(data).subgraphs[0].tensors[read_model(data).subgraphs[0].outputs[0]]
    return (integers.astype(np.float64) - tensor.zero_point[0]) * tensor.scale[0]


@pytest.mark.parametrize(("name", "most"), [("fitted", 0.02), ("keyword_net", 0.05), ("lstm_net", 0.05)])
def test_a_converted_model_computes_what_keras_does(folder, name, most):
    """Error over variance on inputs that were not in the calibration."""
    import keras

    model = keras.models.load_model(folder / f"{name}.keras", compile=False)
    rows = public_models.samples(model, 40, seed=5)
    data = (folder / f"{name}.tflite").read_bytes()
    exact = model.predict(rows, verbose=0)
    for run in (run_litert, run_tflm):
        found = real(data, run(data, quantised(data, rows)))
        assert ((found - exact) ** 2).sum() / ((exact - exact.mean(axis=0)) ** 2).sum() < most, run.__name__


def test_a_saved_model_is_converted_too(folder, tmp_path, capfd):
    model = public_models.BUILDERS["keyword_net"]()
    model.export(tmp_path / "saved")
    arguments = ["convert", str(tmp_path / "saved"), str(tmp_path / "saved.tflite")]
    capfd.readouterr()
    assert main([*arguments, "--calibration", str(folder / "keyword_net.npy")]) == 0
    assert capfd.readouterr().err == ""
    given = folder / "keyword_net.tflite"
    data, expected = (tmp_path / "saved.tflite").read_bytes(), given.read_bytes()
    rows = quantised(data, public_models.samples(model, 10, seed=5))
    assert np.array_equal(run_litert(data, rows), run_litert(expected, rows))
    assert main(arguments) == 0
    assert "warning: no calibration data" in capfd.readouterr().err


@pytest.mark.parametrize("name", PUBLIC)
def test_running_operator_by_operator_changes_nothing(folder, name):
    data = (folder / f"{name}.tflite").read_bytes()
    model = read_model(data)
    rows = quantised(
        data, public_models.samples(public_models.BUILDERS.get(name, public_models.autoencoder)(), 6, seed=3)
    )
    network = calibration.Plain(model, {0: [[[row.tobytes()]] for row in rows]})
    output = model.subgraphs[0].outputs[0]
    found = [steps[0][output] for steps in network.trace()[0]]
    assert b"".join(found) == run_tflm(data, rows).tobytes()


# most: of the error that the smallest weights leave when they go and nothing makes up for them.
@pytest.mark.parametrize(("name", "most"), [("fitted", 0.3), ("keyword_net", 0.3), ("lstm_net", 0.6)])
def test_sparse_blocks_are_zero_and_the_output_bears_it(sparse, name, most, capfd):
    source, target = (sparse / f"{name}{end}.tflite" for end in ("", "_sparse"))
    model = read_model(target.read_bytes())
    part = model.subgraphs[0]
    layers = find_layers(model)
    integers = [matrix(part, weights).integers for layer in layers for weights in layer.matrices]
    zeros, count = sum((one == 0).sum() for one in integers), sum(one.size for one in integers)
    assert 0.74 < zeros / count < 0.80
    groups = [np.abs(one[: len(one) // 4 * 4]).reshape(-1, 4, one.shape[1]).sum(axis=1) for one in integers]
    assert sum((one == 0).sum() for one in groups) > 0.72 * sum(one.size for one in groups)
    # Besides weights and biases the file is the same.
    for before, after in zip(read_model(source.read_bytes()).subgraphs[0].tensors, part.tensors, strict=True):
        for field in ("name", "shape", "dtype", "scale", "zero_point"):
            assert getattr(before, field) == getattr(after, field)
    capfd.readouterr()
    arguments = [str(source), str(sparse / "again.tflite"), "--calibration", str(sparse / f"{name}.npy")]
    assert main(["sparsify", *arguments]) == 0
    said = capfd.readouterr().out
    error, by_size = (
        float(said.split(text)[1].split()[0].rstrip(")")) for text in ("by its variance: ", "set to zero: ")
    )
    assert error < most * by_size
    assert (sparse / "again.tflite").read_bytes() == target.read_bytes()


def test_a_sparse_autoencoder_still_works_on_what_it_has_not_seen(sparse):
    rows = public_models.samples(public_models.autoencoder(), 100, seed=8)
    errors = []
    for end in ("", "_sparse"):
        data = (sparse / f"fitted{end}.tflite").read_bytes()
        found = real(data, run_litert(data, quantised(data, rows)))
        errors.append(((found - rows) ** 2).mean() / rows.var())
    assert errors[0] < 0.25 and errors[1] < errors[0] + 0.15, errors


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("form", ["skip", "decode"])
def test_packing_public_models_both_ways(sparse, tmp_path, name, form):
    source, packed, dense = sparse / f"{name}_sparse.tflite", tmp_path / "p.tflite", tmp_path / "d.tflite"
    assert main(["pack", "--form", form, str(source), str(packed)]) == 0
    assert main(["densify", str(packed), str(dense)]) == 0
    original = read_model(source.read_bytes())
    assert read_model(dense.read_bytes()) == original
    if form == "decode":
        kinds = [operator.kind for operator in read_model(packed.read_bytes()).subgraphs[0].operators]
        assert decode_form.KIND in kinds and packed.stat().st_size < source.stat().st_size
        rows = np.random.default_rng(2).integers(-128, 128, (5, *original.subgraphs[0].tensors[0].shape), np.int8)
        rows = rows.reshape(5, *original.subgraphs[0].tensors[original.subgraphs[0].inputs[0]].shape)
        assert np.array_equal(run_tflm(packed.read_bytes(), rows), run_tflm(source.read_bytes(), rows))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.parent.name)
def test_our_models_in_the_form_of_tensorflow_lite_micro(path, tmp_path):
    packed, dense = tmp_path / "p.tflite", tmp_path / "d.tflite"
    stock = tmp_path / "stock.tflite"  # a shipped file may have its zeros left out
    stock.write_bytes(packing.densify(path.read_bytes())[0])
    path = stock
    assert main(["pack", "--form", "decode", str(path), str(packed)]) == 0
    assert packed.stat().st_size < 0.8 * path.stat().st_size
    assert main(["densify", str(packed), str(dense)]) == 0
    assert dense.read_bytes() == path.read_bytes()
    encoder = extract_subgraph(path.read_bytes(), "encoder")
    coded, layers = packing.pack_for_decode(encoder)
    assert sum(layer.coded for layer in layers) >= 10
    rng = np.random.default_rng(0)
    interpreters = [runtime.Interpreter.from_bytes(data, arena_size=ARENA_BYTES) for data in (encoder, coded)]
    part = read_model(encoder).subgraphs[0]
    for _ in range(4):
        values = [rng.integers(-128, 128, part.tensors[index].shape, np.int8) for index in part.inputs]
        outputs = []
        for interpreter in interpreters:
            for k, value in enumerate(values):
                interpreter.set_input(value, k)
            interpreter.invoke()
            outputs.append([interpreter.get_output(k) for k in range(len(part.outputs))])
        assert all(np.array_equal(a, b) for a, b in zip(*outputs, strict=True))


def test_our_model_gets_more_zeros_from_recordings(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(calibration, "MOST_STEPS", 25)
    target = tmp_path / "sparse.tflite"
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    shutil.copy(SAMPLES / "coffee_espresso.flac", recordings)
    arguments = [str(OURS[0]), str(target), "--zeros", "0.85", "--calibration", str(recordings)]
    assert main(["sparsify", *arguments]) == 0
    said = capfd.readouterr()
    assert "25 steps, 1 s, of 1 recordings" in said.out and said.err == ""
    assert main(["inspect", "--json", str(target)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["board"]["runs"] and found["board"]["refusal"] is None
    zeros = [(row["zero_weights"], row["weights"]) for row in found["operators"] if row["operator"] == "CONV_2D"]
    assert sum(zero for zero, _ in zeros) > 0.84 * sum(weights for _, weights in zeros)
    assert packing.pack(target.read_bytes())[0] != target.read_bytes()


@pytest.mark.parametrize("stage", ["dense", "compressed"])
def test_our_checkpoints_are_converted(tmp_path, stage, capfd):
    target = tmp_path / "model.tflite"
    source = REPO / "models" / "general" / f"{stage}.npz"
    assert main(["convert", str(source), str(target), "--calibration", str(SAMPLES)]) == 0
    assert "search settings: those of " in capfd.readouterr().out
    found, shipped = (read_model(path.read_bytes()).subgraph("encoder") for path in (target, OURS[0]))
    if stage == "compressed":
        pairs = [(x, y) for x, y in zip(found.tensors, shipped.tensors, strict=True) if x.name.endswith("weight")]
        assert pairs and all((x.dtype, x.data, x.scale) == (y.dtype, y.data, y.scale) for x, y in pairs)
    else:
        assert {x.dtype for x in found.tensors if x.name.endswith("weight")} == {"int8"}


def test_inspection_of_a_packed_model(tmp_path, capfd):
    packed, picture = tmp_path / "p.tflite", tmp_path / "p.png"
    assert main(["pack", str(OURS[0]), str(packed)]) == 0
    capfd.readouterr()
    assert main(["inspect", "--json", "--plot", str(picture), str(packed)]) == 0
    found = json.loads(capfd.readouterr().out)
    layers = [layer for layer in packing.pack(OURS[0].read_bytes())[1] if layer.packed]
    rows = {row["output"]: row for row in found["operators"] if row["operator"] == "CONV_2D packed"}
    assert len(layers) == len(rows) == 10
    for layer in layers:
        row = rows[layer.name]
        assert row["multiplications"] == layer.rows * layer.depth
        assert row["multiplications_done"] == 4 * layer.entries
        assert row["weight_bytes"] == layer.packed_bytes and row["zero_weights"] == layer.zeros
        assert row["place"]["memory"] in ("arena", "state") and row["constants"] == "flash"
    board = found["board"]
    arenas = [row["place"] for row in found["operators"] if row["place"]["memory"] == "arena"]
    assert 0 < max(place["offset"] + place["bytes"] for place in arenas) <= board["arena_bytes"] < board["ram_bytes"]
    assert found["total"]["multiplications_done"] < 0.3 * found["total"]["multiplications"]
    assert found["file_bytes"] == packed.stat().st_size
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert picture.read_bytes()[:4] == b"\x89PNG" and width > 800 and height > 400


def test_inspection_names_what_the_board_refuses(tmp_path, capfd):
    part = Subgraph("main", [Tensor("x", (1, 4), "int8", (0.1,), (0,)), Tensor("y", (1, 4), "int8", (0.1,), (0,))])
    part.inputs, part.outputs = [0], [1]
    part.operators.append(packing.Operator("NEG", [0], [1], version=1))
    path = tmp_path / "neg.tflite"
    path.write_bytes(serialise(Model([part])))
    assert main(["inspect", str(path)]) == 0
    assert "1 × NEG: the model uses an operator that the board does not have" in capfd.readouterr().out
    assert main(["inspect", "--json", str(path)]) == 0
    found = json.loads(capfd.readouterr().out)
    assert not found["board"]["runs"] and "NEG" in found["operators"][0]["refusal"]


def float_model():
    part = Subgraph("main", [Tensor("x", (1, 8), "float32"), Tensor("y", (1, 8), "float32")])
    weights = part.constant("w", np.ones((8, 8), np.float32))
    part.inputs, part.outputs = [0], [1]
    part.operate("FULLY_CONNECTED", [0, weights, -1], [1])
    return serialise(Model([part]))


GOOD = OURS[0].read_bytes()
FILES = {"empty": b"", "cut": GOOD[:5000], "no model": b"GIF89a" + bytes(500), "nothing of it": GOOD[:8] + bytes(64)}


def assert_refused(capfd, arguments, words=()):
    capfd.readouterr()
    assert main(list(map(str, arguments))) == 2
    said = capfd.readouterr().err
    lines = [line for line in said.splitlines() if not line.startswith("stapes: warning")]
    assert len(lines) == 1 and lines[0].startswith("stapes: "), said
    assert all(word in lines[0] for word in words), said


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("verb", ["inspect", "sparsify", "pack", "densify"])
def test_files_that_are_no_models_are_refused(capfd, tmp_path, verb, case):
    path = tmp_path / "bad.tflite"
    path.write_bytes(FILES[case])
    assert_refused(capfd, [verb, path, *([] if verb == "inspect" else [tmp_path / "out.tflite"])], ["bad.tflite"])
    assert not (tmp_path / "out.tflite").exists()


def test_models_without_int8_layers_are_refused(capfd, tmp_path):
    path = tmp_path / "float.tflite"
    path.write_bytes(float_model())
    assert_refused(capfd, ["sparsify", path, tmp_path / "out.tflite"], ["float.tflite", "int8"])
    assert main(["pack", str(path), str(tmp_path / "out.tflite")]) == 0
    assert "nothing to do" in capfd.readouterr().out
    packed = tmp_path / "packed.tflite"
    assert main(["pack", str(OURS[0]), str(packed)]) == 0
    data = packing.pack(GOOD)[0]
    only_packed = extracted_layers(data)
    path.write_bytes(only_packed)
    assert_refused(capfd, ["sparsify", path, tmp_path / "out.tflite"], ["densify"])


def extracted_layers(data):
    """The packed operators of a model without all others."""
    from stapes_tools.convert.board import alone

    part = read_model(data).subgraphs[0]
    return serialise(alone(part, next(operator for operator in part.operators if operator.packed)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--zeros", "1.0"], ["--zeros"]),
        (["--zeros", "-0.1"], ["--zeros"]),
        (["--zeros", "half"], ["--zeros"]),
        (["--block", "3x1"], ["3x1"]),
        (["--block", "4"], ["block"]),
        (["--block", "0x4"], ["0x4"]),
        (["--calibration", "nowhere"], ["nowhere"]),
        (["--calibration", str(REPO / "docs")], ["docs", ".wav"]),
        (["--calibration", str(REPO / "README.md")], ["README.md", ".wav"]),
    ],
)
def test_options_out_of_range_are_refused(capfd, tmp_path, options, words):
    assert_refused(capfd, ["sparsify", OURS[0], tmp_path / "out.tflite", *options], words)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros((4, 63), np.float32), ["shape [4, 63]"]),
        (np.zeros((4, 64), np.int16), ["int16"]),
        (np.zeros((0, 64), np.float32), ["empty"]),
        (b"no array", ["numpy.save"]),
    ],
    ids=["shape", "type", "empty", "damaged"],
)
def test_calibration_arrays_that_do_not_fit_are_refused(capfd, folder, tmp_path, rows, words):
    path = tmp_path / "rows.npy"
    path.write_bytes(rows) if isinstance(rows, bytes) else np.save(path, rows)
    arguments = [folder / "fitted.tflite", tmp_path / "out.tflite", "--calibration", path]
    assert_refused(capfd, ["sparsify", *arguments], ["rows.npy", *words])


def test_inputs_that_convert_refuses(capfd, folder, tmp_path, monkeypatch):
    out = tmp_path / "out.tflite"
    for name, content in (("a.keras", b"PK\3\4 nothing"), ("a.npz", b"no"), ("a.onnx", b"x")):
        path = tmp_path / name
        path.write_bytes(content)
        assert_refused(capfd, ["convert", path, out], [name])
    assert_refused(capfd, ["convert", tmp_path, out], ["saved_model.pb"])
    assert_refused(capfd, ["convert", tmp_path / "none.keras", out], ["none.keras"])
    np.save(tmp_path / "wrong.npy", np.zeros((3, 9), np.float32))
    wrong = [folder / "fitted.keras", out, "--calibration", tmp_path / "wrong.npy"]
    assert_refused(capfd, ["convert", *wrong], ["wrong.npy", "[3, 9]"])
    empty = tmp_path / "empty.wav"
    soundfile.write(str(empty), np.zeros(200, np.int16), 16000)
    assert_refused(capfd, ["sparsify", OURS[0], out, "--calibration", empty], ["too short"])
    monkeypatch.setattr("stapes_tools.convert.from_keras.find_spec", lambda _: None)
    assert_refused(capfd, ["convert", folder / "fitted.keras", out], ["TensorFlow", "make train-tools"])


def test_a_lstm_that_cannot_be_written_is_refused(capfd, tmp_path):
    import keras

    cases = {
        "GRU": [keras.layers.LSTM(4, return_sequences=True), keras.layers.GRU(4)],
        "backwards": [keras.layers.LSTM(4, go_backwards=True)],
        "relu": [keras.layers.LSTM(4, activation="relu")],
    }
    for name, layers in cases.items():
        path = tmp_path / f"{name}.keras"
        keras.Sequential([keras.Input((5, 3)), *layers]).save(path)
        assert_refused(capfd, ["convert", path, tmp_path / "out.tflite"], [f"{name}.keras", "LSTM"])
