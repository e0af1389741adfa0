"""The discriminative loss against brute-force enumeration and finite differences."""

import itertools
import math
import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf
from stapes_tools.convert.topology import Block, Topology, random_parameters
from stapes_tools.convert.write import random_calibration
from stapes_tools.grammar.graph import Arc, Graph
from stapes_tools.grammar.lexicon import Lexicon
from stapes_tools.grammar.units import UNIT_INDEX
from stapes_tools.train import batches
from stapes_tools.train.commands import command_graph, training_graph
from stapes_tools.train.compress import CompactTask
from stapes_tools.train.context import lattice_of, outcomes_of
from stapes_tools.train.loop import Trainer
from stapes_tools.train.mmi import OUTSIDE, MmiLoss
from stapes_tools.train.recipe import Compression
from toy_speech import toy_commands, toy_set

UNITS, STEPS, PENALTY, DISCOUNT = 4, 5, 0.75, 0.4
# 1 (2 | 3) 1?  and  2 3, with weights; state 2 is reached by two units, hence two states of the expanded graph.
SMALL = Graph(
    [
        [Arc(1, None, -200, 1), Arc(2, None, -900, 3)],
        [Arc(2, 0, -700, 2), Arc(3, 0, -300, 2)],
        [Arc(1, 0, -100, 4)],
        [Arc(3, 0, 0, 4)],
        [],
    ],
    [None, None, "go", None, "go"],
    [],
)
SENTENCES = {(1, 2): -900, (1, 3): -500, (1, 2, 1): -1000, (1, 3, 1): -600, (2, 3): -900}


def _scores(seed: int, rows: int = 1) -> np.ndarray:
    """Log-probabilities [B, T, unit before, unit]."""
    logits = np.random.default_rng(seed).normal(0.0, 1.0, (rows, STEPS, UNITS, UNITS))
    return (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))).astype(np.float32)


def _paths(scores: np.ndarray, sentence, steps: int):
    """(score in the search, the (step, unit before, unit) taken) of every alignment of a sentence."""
    for emitting in itertools.combinations(range(steps), len(sentence)):
        done, before, total, taken = 0, 0, 0.0, []
        for t in range(steps):
            unit = sentence[done] if t in emitting else 0
            blank = PENALTY - (0.0 if done else DISCOUNT)
            total += scores[t, before, unit] - (0.0 if unit else blank)
            taken.append((t, before, unit))
            if unit:
                done, before = done + 1, unit
        yield total, taken


def _by_enumeration(scores: np.ndarray, said, steps: int, margin: float = 0.0) -> float:
    sums = {
        sentence: sum(math.exp(total + weight / 1024) for total, _ in _paths(scores, sentence, steps))
        for sentence, weight in SENTENCES.items()
    }
    others = sum(value for sentence, value in sums.items() if sentence != said)
    return math.log(1.0 + math.exp(margin) * others / sums[said])


def _loss(scores, said, steps: int, log_weight: float | None = None, margin: float = 0.0):
    graph = command_graph(SMALL)
    labels = np.array([said], np.int32)
    before, ahead = np.pad(labels, ((0, 0), (1, 0))), np.pad(labels, ((0, 0), (0, 1)))
    blank = scores[:, :, :, 0]
    flat = tf.reshape(scores, (scores.shape[0], STEPS, UNITS * UNITS))
    emit = tf.gather(flat, graph.pairs[:, 0] * UNITS + graph.pairs[:, 1], axis=2)
    lattice = tf.gather(blank, before[0], axis=2), tf.gather(flat, before[0] * UNITS + ahead[0], axis=2)
    weight = graph.log_weight_of(said) if log_weight is None else log_weight
    return MmiLoss(graph, PENALTY, DISCOUNT, margin)(
        lattice, (blank, emit), np.array([steps]), np.array([len(said)]), np.array([weight], np.float32)
    )


def test_the_expanded_graph_remembers_the_last_unit():
    graph = command_graph(SMALL)
    assert sorted(graph.before) == [0, 1, 1, 2, 2, 3, 3]
    assert {tuple(pair) for pair in graph.pairs} == {(0, 1), (0, 2), (1, 2), (1, 3), (2, 1), (3, 1), (2, 3)}
    assert all(graph.before[graph.source] == graph.pairs[graph.pair, 0])
    assert all(graph.before[graph.target] == graph.pairs[graph.pair, 1])


def test_the_weight_of_a_sentence_is_the_grammars():
    graph = command_graph(SMALL)
    for sentence, weight in SENTENCES.items():
        assert graph.log_weight_of(sentence) == pytest.approx(weight / 1024)
    for stranger in ((), (1,), (3,), (1, 1), (1, 2, 1, 1)):
        assert graph.log_weight_of(stranger) is None


@pytest.mark.parametrize("steps", [5, 4, 3])
@pytest.mark.parametrize("said", list(SENTENCES))
def test_it_equals_enumeration_whatever_the_padding(said, steps):
    scores = _scores(steps)
    assert float(_loss(tf.constant(scores), said, steps)[0]) == pytest.approx(
        _by_enumeration(scores[0], said, steps), abs=1e-5
    )


@pytest.mark.parametrize("margin", [0.5, 5.0])
@pytest.mark.parametrize("said", list(SENTENCES))
def test_with_a_margin_the_others_are_so_much_likelier(said, margin):
    scores = _scores(3)
    expected = _by_enumeration(scores[0], said, 4, margin)
    assert float(_loss(tf.constant(scores), said, 4, margin=margin)[0]) == pytest.approx(expected, abs=1e-5)
    assert expected > _by_enumeration(scores[0], said, 4)


def test_a_margin_goes_on_teaching_what_is_understood():
    scores, said = np.full((1, STEPS, UNITS, UNITS), -14.0, np.float32), (1, 2)
    scores[0, 0, 0, 1] = scores[0, 1, 1, 2] = scores[0, 2:, :, 0] = 0.0  # said, and nothing else is at all likely
    slopes = {}
    for margin in (0.0, 10.0):
        variable = tf.Variable(scores)
        with tf.GradientTape() as tape:
            loss = _loss(variable, said, STEPS, margin=margin)
        assert 0.0 <= float(loss[0]) < 0.5
        slopes[margin] = np.abs(np.asarray(tape.gradient(loss, variable))).max()
    assert slopes[10.0] > 1e3 * slopes[0.0] > 0.0


def test_rounding_does_not_make_the_loss_less_than_nothing():
    scores = np.full((1, STEPS, UNITS, UNITS), -60.0, np.float32)
    scores[0, 0, 0, 1] = scores[0, 1, 1, 2] = -30.0
    scores[0, 2:, :, 0] = -30.0
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        loss = _loss(variable, (1, 2), STEPS, margin=8.0)
    assert 0.0 <= float(loss[0]) < 1.0 and np.isfinite(np.asarray(tape.gradient(loss, variable))).all()


def _slopes(scores: np.ndarray, said, steps: int, margin: float = 0.0) -> np.ndarray:
    """Finite differences of the enumerated loss, by scores [T, unit before, unit] or, without context, [T, unit]."""
    slopes = np.zeros_like(scores)
    for index in np.ndindex(scores.shape):
        ends = []
        for change in (1e-3, -1e-3):
            moved = scores.astype(np.float64)
            moved[index] += change
            every = _after_any_unit(moved) if scores.ndim == 2 else moved
            ends.append(_by_enumeration(every, said, steps, margin))
        slopes[index] = (ends[0] - ends[1]) / 2e-3
    return slopes


def _after_any_unit(scores: np.ndarray) -> np.ndarray:
    """[T, unit] as [T, unit before, unit]."""
    return np.repeat(scores[:, None], UNITS, axis=1)


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_the_gradient_equals_finite_differences(margin):
    scores, said, steps = _scores(7), (1, 3), 4
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(_loss(variable, said, steps, margin=margin))
    slopes = _slopes(scores[0], said, steps, margin)[None]
    np.testing.assert_allclose(np.asarray(tape.gradient(loss, variable)), slopes, atol=2e-4)
    assert np.abs(slopes).max() > 0.1 and not slopes[:, steps:].any()


def test_occupations_are_probabilities_and_equal_enumeration():
    scores, graph, steps = _scores(11), command_graph(SMALL), 4
    blank = scores[..., 0] - PENALTY
    emit = scores.reshape(1, STEPS, -1)[..., graph.pairs[:, 0] * UNITS + graph.pairs[:, 1]]
    log_z, stay, move = MmiLoss(graph, PENALTY, DISCOUNT).occupation(
        tf.constant(blank), tf.constant(emit), np.array([steps])
    )
    expected = np.zeros((STEPS, UNITS, UNITS))
    for sentence, weight in SENTENCES.items():
        for total, taken in _paths(scores[0], sentence, steps):
            for arc in taken:
                expected[arc] += math.exp(total + weight / 1024 - float(log_z[0]))
    np.testing.assert_allclose(np.asarray(stay)[0], expected[..., 0], atol=1e-5)
    found = np.asarray(move)[0]
    np.testing.assert_allclose(found, expected[:, graph.pairs[:, 0], graph.pairs[:, 1]], atol=1e-5)
    sums = np.asarray(stay)[0].sum(axis=1) + found.sum(axis=1)
    np.testing.assert_allclose(sums, [1, 1, 1, 1, 0], atol=1e-5)


@pytest.mark.parametrize("said", list(SENTENCES))
def test_without_context_it_equals_enumeration_over_a_graph_that_is_not_expanded(said):
    steps, graph = 4, command_graph(SMALL, hears_context=False)
    scores = _scores(5)[:, :, 0]
    assert len(graph.before) == len(SMALL.arcs) and graph.log_weight_of(said) == pytest.approx(SENTENCES[said] / 1024)
    labels, variable = np.array([said], np.int32), tf.Variable(scores)
    with tf.GradientTape() as tape:
        lattice, anything = lattice_of(variable, labels), outcomes_of(variable, graph.pairs)
        weight = np.array([graph.log_weight_of(said)], np.float32)
        loss = MmiLoss(graph, PENALTY, DISCOUNT)(lattice, anything, np.array([steps]), np.array([len(said)]), weight)
    assert float(loss[0]) == pytest.approx(_by_enumeration(_after_any_unit(scores[0]), said, steps), abs=1e-5)
    slopes = _slopes(scores[0], said, steps)[None]
    np.testing.assert_allclose(np.asarray(tape.gradient(loss, variable)), slopes, atol=2e-4)
    assert np.abs(slopes).max() > 0.1 and not slopes[:, steps:].any()


def test_a_network_without_context_refuses_a_graph_with_it():
    settings = replace(SETTINGS, context_dropout=1.0)
    calibration = random_calibration(3, 4, 40)
    with pytest.raises(ValueError, match="which the network does not see"):
        CompactTask(TOY, random_parameters(TOY, 1), settings, calibration, commands=toy_commands())
    CompactTask(TOY, random_parameters(TOY, 1), settings, calibration, commands=toy_commands(hears_context=False))


def test_an_utterance_outside_the_grammar_costs_nothing():
    variable = tf.Variable(_scores(3))
    with tf.GradientTape() as tape:
        loss = _loss(variable, (3, 3), 5, OUTSIDE)
    assert float(loss[0]) == 0.0
    assert not np.asarray(tape.gradient(loss, variable)).any()


def test_a_step_that_is_next_to_impossible_leaves_finite_numbers():
    scores = np.full((1, STEPS, UNITS, UNITS), -300.0, np.float32)
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        loss = _loss(variable, (1, 2), 5)
    assert np.isfinite(float(loss[0])) and np.isfinite(np.asarray(tape.gradient(loss, variable))).all()


def test_words_are_spelt_as_training_labels_are(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text("context:\n  expressions:\n    go:\n      - '[the, a] cat'\n")
    graph = training_graph(path, Lexicon({"the": ["DH AH", "DH IY"], "a": ["EY"]}))
    units = {phone: UNIT_INDEX[phone] for phone in ("DH", "AH", "IY", "EY", "K", "AE", "T")}

    def holds(*phones: str) -> bool:
        return graph.log_weight_of([units[phone] for phone in phones]) is not None

    assert holds("DH", "AH", "K", "AE", "T")
    assert not holds("DH", "IY", "K", "AE", "T")


def test_a_word_that_only_the_grammar_knows_is_spelt_as_there(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text("pronunciations:\n  zyx: [Z IH, Z AY]\ncontext:\n  expressions:\n    go:\n      - 'zyx'\n")
    graph = training_graph(path, Lexicon())
    assert graph.log_weight_of([UNIT_INDEX["Z"], UNIT_INDEX["IH"]]) == 0.0
    assert graph.log_weight_of([UNIT_INDEX["Z"], UNIT_INDEX["AY"]]) is None


# --- as a part of training -------------------------------------------------------------------------

TOY = Topology(16, (Block(5), Block(3)), 8, 40)
SETTINGS = Compression(
    minutes=1.0,
    batches=60,
    steps_per_batch=480,
    learning_rate=3e-3,
    warmup_batches=1,
    ema=0.9,
    zeros=0.0,
    freeze=0.3,
    mmi_weight=2.0,
)


@pytest.fixture(scope="module")
def task():
    return CompactTask(TOY, random_parameters(TOY, 1), SETTINGS, random_calibration(3, 4, 40), commands=toy_commands())


def test_what_may_follow_a_unit_is_what_the_lattice_says(task):
    encoded = np.random.default_rng(0).normal(0, 1, (2, 7, 8)).astype(np.float32)
    labels = np.array([[1, 2, 2], [2, 1, 0]], np.int32)
    pairs = task.mmi.graph.pairs
    blank, emit = (np.asarray(part) for part in task.net.outcomes(encoded, pairs))
    stay, move = (np.asarray(part) for part in task.net.lattice(encoded, labels))
    place = {tuple(pair): index for index, pair in enumerate(pairs)}
    for row, said, before, unit in [(0, 0, 0, 1), (0, 1, 1, 2), (0, 2, 2, 2), (1, 1, 2, 1)]:
        np.testing.assert_allclose(blank[row, :, before], stay[row, :, said], atol=1e-5)
        np.testing.assert_allclose(emit[row, :, place[before, unit]], move[row, :, said], atol=1e-5)


def test_a_step_knows_which_utterances_are_commands(task):
    batch = next(batches.epoch([toy_set()], 480, 1, False))
    weights = task.knobs(0.5, batch)[-len(batch.steps) :]
    for labels, units, weight in zip(batch.labels, batch.units, weights, strict=True):
        assert weight == pytest.approx(-(units - 1) * 700 / 1024 if labels[0] == 1 else OUTSIDE)
    assert (weights == OUTSIDE).any() and (weights < 0).any()


@pytest.mark.parametrize("context_dropout", [0.0, 1.0])
def test_training_tells_commands_apart(context_dropout, tmp_path):
    settings = replace(SETTINGS, context_dropout=context_dropout)
    graph = toy_commands(hears_context=not context_dropout)
    task = CompactTask(TOY, random_parameters(TOY, 1), settings, random_calibration(3, 4, 40), commands=graph)
    trainer = Trainer(task, settings, [toy_set()], tmp_path, seed=1)
    trainer.run(lambda _: {})
    first, last = trainer.history[0], trainer.history[-1]
    assert 0.0 < last["mmi"] < 0.5 * first["mmi"]
    assert last["rnnt"] < first["rnnt"]
