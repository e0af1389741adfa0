"""The losses against brute-force enumeration and finite differences."""

import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf
from stapes_tools.train.loss import ctc_loss, monotonic_rnnt_loss

STEPS, UNITS, CLASSES = 5, 3, 4


def _log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _rnnt_by_enumeration(blank, emit, steps, units):
    """Sum over every choice of the steps at which a unit is emitted."""
    total = 0.0
    for emitting in itertools.combinations(range(steps), units):
        score, done = 0.0, 0
        for t in range(steps):
            score += emit[t, done] if t in emitting else blank[t, done]
            done += t in emitting
        total += np.exp(score)
    return -np.log(total)


def _ctc_by_enumeration(log_probs, labels, steps):
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=steps):
        collapsed = [unit for unit, _ in itertools.groupby(path) if unit]
        if collapsed == list(labels):
            total += np.exp(sum(log_probs[t, unit] for t, unit in enumerate(path)))
    return -np.log(total)


@pytest.mark.parametrize(("steps", "units"), [(5, 3), (5, 0), (4, 2), (3, 3), (1, 1), (1, 0)])
def test_rnnt_equals_enumeration_whatever_the_padding(steps, units):
    rng = np.random.default_rng(steps * 10 + units)
    blank, emit = -rng.exponential(1.0, (2, 1, STEPS, UNITS + 1)).astype(np.float32)
    loss = monotonic_rnnt_loss(tf.constant(blank), tf.constant(emit), tf.constant([steps]), tf.constant([units]))
    assert float(loss[0]) == pytest.approx(_rnnt_by_enumeration(blank[0], emit[0], steps, units), abs=1e-5)


@pytest.mark.parametrize(("steps", "labels"), [(5, (1, 2, 3)), (5, (2, 2)), (4, (1,)), (3, (1, 1)), (5, (3, 3, 1))])
def test_ctc_equals_enumeration_whatever_the_padding(steps, labels):
    rng = np.random.default_rng(steps)
    log_probs = _log_softmax(rng.normal(0, 1, (1, STEPS, CLASSES))).astype(np.float32)
    padded = np.zeros((1, UNITS), np.int32)
    padded[0, : len(labels)] = labels
    loss = ctc_loss(tf.constant(log_probs), tf.constant(padded), tf.constant([steps]), tf.constant([len(labels)]))
    assert float(loss[0]) == pytest.approx(_ctc_by_enumeration(log_probs[0], labels, steps), abs=1e-5)


def test_ctc_agrees_with_tensorflow_on_a_batch():
    rng = np.random.default_rng(3)
    log_probs = _log_softmax(rng.normal(0, 1, (4, 20, 6))).astype(np.float32)
    labels = rng.integers(1, 6, (4, 7)).astype(np.int32)
    steps, units = np.array([20, 18, 15, 20], np.int32), np.array([7, 5, 3, 1], np.int32)
    loss = ctc_loss(tf.constant(log_probs), tf.constant(labels), tf.constant(steps), tf.constant(units))
    expected = tf.nn.ctc_loss(labels, log_probs, units, steps, logits_time_major=False, blank_index=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def _gradient(function, *arrays):
    variables = [tf.Variable(array) for array in arrays]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(function(*variables))
    return [np.asarray(gradient) for gradient in tape.gradient(loss, variables)]


def _differences(function, arrays, size=1e-2):
    for number, array in enumerate(arrays):
        slopes = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            ends = []
            for sign in (1, -1):
                moved = [other.copy() for other in arrays]
                moved[number][index] += sign * size
                ends.append(float(tf.reduce_sum(function(*(tf.constant(other) for other in moved)))))
            slopes[index] = (ends[0] - ends[1]) / (2 * size)
        yield slopes


def test_rnnt_gradient_equals_finite_differences():
    rng = np.random.default_rng(5)
    arrays = [-rng.exponential(1.0, (2, STEPS, UNITS + 1)).astype(np.float32) for _ in range(2)]
    steps, units = tf.constant([STEPS, 4]), tf.constant([UNITS, 1])

    def function(blank, emit):
        return monotonic_rnnt_loss(blank, emit, steps, units)

    for gradient, slopes in zip(_gradient(function, *arrays), _differences(function, arrays), strict=True):
        np.testing.assert_allclose(gradient, slopes, atol=2e-3)


def test_ctc_gradient_equals_finite_differences():
    rng = np.random.default_rng(6)
    arrays = [_log_softmax(rng.normal(0, 1, (2, STEPS, CLASSES))).astype(np.float32)]
    labels, steps, units = tf.constant([[1, 1, 0], [2, 3, 1]]), tf.constant([4, STEPS]), tf.constant([2, 3])

    def function(log_probs):
        return ctc_loss(log_probs, labels, steps, units)

    gradients, slopes = _gradient(function, *arrays), list(_differences(function, arrays))
    np.testing.assert_allclose(gradients[0], slopes[0], atol=2e-3)


def test_occupations_of_long_utterances_stay_finite():
    rng = np.random.default_rng(7)
    blank, emit = (tf.Variable(-rng.exponential(3.0, (1, 400, 121)).astype(np.float32)) for _ in range(2))
    with tf.GradientTape() as tape:
        loss = monotonic_rnnt_loss(blank, emit, tf.constant([390]), tf.constant([120]))
    stay, move = tape.gradient(loss, [blank, emit])
    # Every step is a blank or a unit, and every unit is emitted once.
    assert float(tf.reduce_sum(move)) == pytest.approx(-120, abs=0.05)
    assert float(tf.reduce_sum(stay) + tf.reduce_sum(move)) == pytest.approx(-390, abs=0.1)
