"""The acoustic model as a Keras model; its shape is stapes_tools.convert.topology.Topology.

Training sees whole utterances; the board sees one step at a time. Both are causal, so their
outputs agree. Batch normalisation follows the front convolution and every pointwise layer and is
folded into them by `stapes_tools.train.export`.
"""

import keras
import numpy as np
from keras import layers, ops

from stapes_tools.convert.topology import Topology
from stapes_tools.train.context import units_before


class CausalDepthwise(layers.Layer):
    """Per-channel convolution over the past: [B, T, C] -> [B, T, C], weight [width, C], oldest first."""

    def __init__(self, width: int, dilation: int, **options):
        super().__init__(**options)
        self.width, self.dilation = width, dilation

    def build(self, shape):
        """Make the weights; the newest tap starts near one, so that a block starts as a pointwise layer."""
        start = np.random.default_rng(self.width).normal(0, 0.3, (self.width, shape[-1]))
        start[-1] += 0.7
        self.weight = self.add_weight(
            name="weight", shape=start.shape, initializer=lambda *a, **k: ops.array(start, "float32")
        )
        self.bias = self.add_weight(name="bias", shape=(shape[-1],), initializer="zeros")

    def call(self, x):
        """Convolve."""
        length, history = ops.shape(x)[1], (self.width - 1) * self.dilation
        padded = ops.pad(x, ((0, 0), (history, 0), (0, 0)))
        taps = [padded[:, k * self.dilation : k * self.dilation + length] * self.weight[k] for k in range(self.width)]
        return sum(taps) + self.bias


class Transducer(keras.Model):
    """Encoder, stateless predictor and joint, with a CTC head that only training uses.

    Args:
        topology: sizes; context_size must be 1.
        seed: of the initial weights.
    """

    def __init__(self, topology: Topology, seed: int, **options):
        super().__init__(**options)
        keras.utils.set_random_seed(seed)
        self.topology = topology
        self.front = layers.Dense(topology.channels, name="front")
        self.front_norm = layers.BatchNormalization(momentum=0.98, epsilon=1e-3, name="front_norm")
        self.depthwise = [CausalDepthwise(block.width, block.dilation) for block in topology.blocks]
        self.pointwise = [layers.Dense(topology.channels, use_bias=False) for _ in topology.blocks]
        self.norms = [layers.BatchNormalization(momentum=0.98, epsilon=1e-3) for _ in topology.blocks]
        self.projection = layers.Dense(topology.joint, name="projection")
        self.table = layers.Embedding(topology.units, topology.joint, embeddings_initializer="zeros", name="predictor")
        self.output_layer = layers.Dense(topology.units, name="joint")
        self.ctc_head = layers.Dense(topology.units, name="ctc_head")

    def encode(self, features, mask, training=False):
        """Run the encoder over whole utterances.

        Args:
            features: float32 [B, T, 120], log2 units.
            mask: bool [B, T], True inside the utterance.
            training: batch statistics, or the moving ones.
        Returns:
            float32 [B, T, channels], the input of projection and CTC head.
        """
        width, length = self.topology.front_width, ops.shape(features)[1]
        padded = ops.pad(features, ((0, 0), (width - 1, 0), (0, 0)))
        stacked = ops.concatenate([padded[:, k : k + length] for k in range(width)], axis=-1)
        x = ops.relu(self.front_norm(self.front(stacked), training=training, mask=mask))
        for depthwise, pointwise, norm in zip(self.depthwise, self.pointwise, self.norms, strict=True):
            x = x + ops.relu(norm(pointwise(depthwise(x)), training=training, mask=mask))
        return x

    def ctc_log_probs(self, encoded):
        """float32 [B, T, units] of the CTC head."""
        return ops.log_softmax(self.ctc_head(encoded), axis=-1)

    def scores(self, encoded):
        """Log-probabilities of all units where the predictor sees none: float32 [B, T, channels] -> [B, T, V]."""
        hidden = ops.relu(self.projection(encoded) + self.table(ops.zeros((1, 1), "int32")))
        return ops.log_softmax(self.output_layer(hidden), axis=-1)

    def lattice(self, encoded, labels, known=None):
        """Log-probabilities of blank and of the next label at every step and label position.

        Args:
            encoded: float32 [B, T, channels].
            labels: int32 [B, U], padded with 0.
            known: float32 [B], 0 for an utterance whose predictor sees no label, as at the start; None: all see them.
        Returns:
            (blank, emit): float32 [B, T, U+1] each; emit's last column means nothing.
        """
        before = units_before(labels, known)
        ahead = ops.pad(labels, ((0, 0), (0, 1)))
        hidden = ops.relu(self.projection(encoded)[:, :, None] + self.table(before)[:, None])
        logits = self.output_layer(hidden)
        total = ops.logsumexp(logits, axis=-1)
        weight = ops.take(ops.transpose(self.output_layer.kernel), ahead, axis=0)
        emit = ops.einsum("btuj,buj->btu", hidden, weight) + ops.take(self.output_layer.bias, ahead)[:, None]
        return logits[..., 0] - total, emit - total

    def call(self, features, labels, mask, training=False, known=None):
        """Both heads at once, which also builds every layer: (blank, emit, CTC log-probabilities)."""
        encoded = self.encode(features, mask, training=training)
        return *self.lattice(encoded, labels, known), self.ctc_log_probs(encoded)


def built_transducer(topology: Topology, seed: int) -> Transducer:
    """A network whose variables exist already, for an optimiser, a checkpoint or weights from elsewhere."""
    net = Transducer(topology, seed)
    steps = topology.front_width + 1
    features = np.zeros((1, steps, topology.feature_size), np.float32)
    net(features, np.zeros((1, 1), np.int32), np.ones((1, steps), bool))
    return net
