"""Public architectures, quantised by TensorFlow's converter from Keras, run on the board's interpreter unchanged."""

import numpy as np
import pytest
import stapes_spec
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from stapes_tools import kernels
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.metadata import Metadata, encode_metadata, seal
from stapes_tools.convert.read import read_model
from tflite_micro.python.tflite_micro import runtime

layers = tf.keras.layers
WORDS = 12
RUNS = 20


def drawn(rng, network):
    """A random input, now soft, now loud, with an offset."""
    shape = network.inputs[0].shape
    return (rng.normal(size=shape) * rng.uniform(0.1, 4) + 2 * rng.normal()).astype(np.float32)


def _normalised(x, layer, limit=None):
    x = layers.BatchNormalization(momentum=0.0)(layer(x))  # takes the statistics of one batch as they are
    return layers.ReLU(limit)(x)


def keyword_net(pool, limit, channels=64, blocks=4):
    """DS-CNN of Zhang et al., Hello Edge (arXiv:1711.07128), as in MLPerf Tiny: 49 frames of 10 coefficients."""
    x = inputs = layers.Input((49, 10, 1), batch_size=1)
    x = _normalised(x, layers.Conv2D(channels, (10, 4), strides=2, padding="same", use_bias=False), limit)
    for _ in range(blocks):
        x = _normalised(x, layers.DepthwiseConv2D(3, padding="same", use_bias=False), limit)
        x = _normalised(x, layers.Conv2D(channels, 1, use_bias=False), limit)
    if pool == "average":
        x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    else:
        x = layers.GlobalAveragePooling2D()(x)
    network = tf.keras.Model(inputs, layers.Dense(WORDS, "softmax", kernel_initializer="random_normal")(x))
    spread_answers(network)
    return network


def spread_answers(network):
    """Give an untrained classifier the statistics of its layers, and answers that depend on what it hears."""
    rng, last = np.random.default_rng(0), network.layers[-1]
    network(drawn(rng, network), training=True)
    logits = np.log([network(drawn(rng, network))[0] for _ in range(30)])
    factor = 2 / (logits - logits.mean(axis=0)).std()
    last.kernel.assign(last.kernel * factor)
    last.bias.assign(-factor * logits.mean(axis=0))


def autoencoder():
    """MLPerf Tiny's anomaly detector: five frames of 128 mel bands through a bottleneck of 8."""
    x = inputs = layers.Input((640,), batch_size=1)
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = _normalised(x, layers.Dense(units))
    return tf.keras.Model(inputs, layers.Dense(640)(x))


def gated_net():
    """Padding, max-pooling, squeeze-and-excitation by a logistic gate, tanh, leaky ReLU, in one small net."""
    x = inputs = layers.Input((16, 12, 3), batch_size=1)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(16, 3, strides=2)(x))
    x = layers.MaxPooling2D(2)(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(16, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    x = layers.Multiply()([x, gate])
    x = layers.Add()([x, layers.Conv2D(16, 3, padding="same", activation="tanh")(x)])
    return tf.keras.Model(inputs, layers.Softmax()(layers.Dense(WORDS)(layers.Flatten()(x))))


def converted(network, rng, whole=False):
    """The int8 .tflite; whole: its inputs and outputs are int8 too, else float32."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([drawn(rng, network)] for _ in range(20))
    if whole:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def for_board(data):
    """The file with our metadata, its operators, tensors and weights unchanged."""
    model = read_model(data)
    model.subgraphs[0].name = "encoder"
    model.metadata[stapes_spec.MODEL_METADATA_NAME] = encode_metadata(Metadata(units=("_", "a")), 2)
    return seal(serialise(model))


class Board:
    """Our interpreter: the C kernels on this computer."""

    def __init__(self, data):
        info = np.zeros(4, np.int32)
        size = kernels.model_size(data, info)
        assert size > 0, (size, info)
        self.data, self.state = data, bytearray(size)
        assert kernels.model_init(self.state, data, info) == 0

    def _view(self, output):
        at = kernels.model_tensor(self.state, self.data, 0, output, 0)
        return memoryview(self.state)[at : at + kernels.model_tensor_size(self.state, self.data, 0, output, 0)]

    def __call__(self, x):
        self._view(0)[:] = x.tobytes()
        assert kernels.model_invoke(self.state, self.data, 0) == 0
        return bytes(self._view(1))


class Stock:
    """TensorFlow Lite Micro, and LiteRT's reference kernels."""

    def __init__(self, data):
        self.micro = runtime.Interpreter.from_bytes(data, arena_size=1 << 21)
        self.litert = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self.litert.allocate_tensors()

    def run_micro(self, x):
        self.micro.set_input(x, 0)
        self.micro.invoke()
        return np.array(self.micro.get_output(0))

    def run_litert(self, x):
        self.litert.set_tensor(self.litert.get_input_details()[0]["index"], x)
        self.litert.invoke()
        return self.litert.get_tensor(self.litert.get_output_details()[0]["index"])


# LiteRT rounds once in FULLY_CONNECTED: docs/model_file.md. The nets end in one, or consist of them.
NETWORKS = {
    "keyword net, average pooling": (lambda: keyword_net("average", None), False, "AVERAGE_POOL_2D"),
    "keyword net, mean and ReLU6": (lambda: keyword_net("mean", 6.0), True, "MEAN"),
    "autoencoder": (autoencoder, True, "FULLY_CONNECTED"),
    "gated net": (gated_net, False, "LOGISTIC"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_runs_as_in_tensorflow_lite_micro(name):
    make, whole, kind = NETWORKS[name]
    tf.keras.utils.set_random_seed(len(name))
    rng = np.random.default_rng(len(name))
    network = make()
    data = converted(network, rng, whole)
    kinds = {operator.kind for operator in read_model(data).subgraphs[0].operators}
    assert kind in kinds, kinds
    board, stock = Board(for_board(data)), Stock(data)
    outputs, near = set(), 0
    for _ in range(RUNS):
        x = drawn(rng, network)
        if whole:
            x = rng.integers(-128, 128, x.shape, dtype=np.int8)
        expected = stock.run_micro(x)
        assert board(x) == expected.tobytes()
        step = 1 if whole else 1 / 256
        near += bool((np.abs(stock.run_litert(x).astype(float) - expected) <= 8 * step).all())
        outputs.add(expected.tobytes())
    assert len(outputs) > RUNS // 2, "the outputs do not vary: this proves nothing"
    assert near == RUNS
