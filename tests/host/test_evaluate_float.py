"""Float parameters behind the board's front end and search, what the integer model is held against."""

import shutil
from array import array

import numpy as np
import pytest
from stapes_tools import kernels
from stapes_tools.audio import read_recording
from stapes_tools.convert import forward
from stapes_tools.errors import UserError
from stapes_tools.evaluate.float_recognizer import FloatRecognizer
from stapes_tools.evaluate.recognition import Decoder, Ear, Samples
from stapes_tools.grammar.compiler import compile_grammar
from stapes_tools.models import REPO

GENERAL = REPO / "models" / "general"
LIGHTS = compile_grammar(REPO / "models" / "grammars" / "lights.yaml")
LAMP = REPO / "models" / "samples" / "lights_desk_lamp.flac"


def hear(model, grammar, sample):
    samples = Samples(read_recording(REPO / "models" / "samples" / f"{sample}.flac"))
    return Ear(str(model), [Decoder(grammar)]).hear(samples)[0]


@pytest.mark.parametrize("sample", ["lights_desk_lamp", "lights_bedroom", "coffee_large_latte"])
def test_float_and_integer_model_understand_the_same(sample):
    grammar = compile_grammar(REPO / "models" / "grammars" / f"{sample.partition('_')[0]}.yaml")
    found, expected = (hear(GENERAL / name, grammar, sample) for name in ("dense.npz", "model.tflite"))
    assert (found.slots, found.intent) == (expected.slots, expected.intent)
    assert found.complete and found.slots


def test_scores_are_the_networks_log_probabilities_in_q5_10():
    recognizer = FloatRecognizer(str(GENERAL / "dense.npz"), LIGHTS, kernels.install())
    encoded = np.random.default_rng(1).normal(size=recognizer._parameters["joint.weight"].shape[1])
    scores = recognizer._log_probs(encoded.astype(np.float32), 7)
    predicted = forward.predict(recognizer._parameters, np.array([[7]]))
    logits = forward.logits(recognizer._parameters, encoded[None], predicted)[0]
    expected = 1024 * (logits - np.log(np.exp(logits).sum()))
    assert scores.dtype == np.int16 and np.abs(scores - expected).max() <= 0.51


def test_a_recogniser_forgets_what_it_heard():
    recognizer = FloatRecognizer(str(GENERAL / "dense.npz"), LIGHTS, kernels.install())
    samples = array("h", read_recording(LAMP).tobytes())
    texts = []
    for _ in range(2):
        recognizer.reset()
        recognizer.accept_waveform(samples)
        recognizer.input_finished()
        texts.append(recognizer.lattice().text)
    assert texts[0] == texts[1] != ""


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="no such checkpoint"):
        hear(tmp_path / "dense.npz", LIGHTS, LAMP.stem)
    shutil.copy(GENERAL / "dense.npz", tmp_path)
    with pytest.raises(UserError, match="it says how to search"):
        hear(tmp_path / "dense.npz", LIGHTS, LAMP.stem)
    stage = tmp_path / "stage" / "dense.npz"
    stage.parent.mkdir()
    shutil.copy(GENERAL / "dense.npz", stage)
    shutil.copy(GENERAL / "model.tflite", tmp_path)
    assert hear(stage, LIGHTS, LAMP.stem).text == hear(GENERAL / "dense.npz", LIGHTS, LAMP.stem).text != ""
    (tmp_path / "dense.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(UserError, match="not a checkpoint of Stapes, or damaged"):
        hear(tmp_path / "dense.npz", LIGHTS, LAMP.stem)
