"""Write a Stapes model file: quantise a network and lay it out as docs/model_file.md says."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import stapes_spec
import tflite

from stapes_tools.convert.branches import ARBITRATOR, LIGHT, check_branches
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.grid import Grid, four_bits
from stapes_tools.convert.metadata import Metadata, encode_metadata, seal
from stapes_tools.convert.quantize import Quantised, quantise
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Block, Parameters, Topology, random_parameters
from stapes_tools.errors import UserError

_NONE = tflite.ActivationFunctionType.NONE
_RELU = tflite.ActivationFunctionType.RELU
_CONVOLUTION = {"Padding": tflite.Padding.VALID, "StrideW": 1, "StrideH": 1}
_TIME_AXIS = 2


def _activation(subgraph: Subgraph, name: str, shape: tuple[int, ...], scale: Scale) -> int:
    return subgraph.add(Tensor(name, shape, "int8", (scale.scale,), (scale.zero_point,)))


def _fused(relu: bool) -> int:
    return _RELU if relu else _NONE


class _Layers:
    """Appends layers to one subgraph; every method returns the index of its output tensor."""

    def __init__(self, result: Quantised, name: str, bias_scales: bool = True):
        self.result = result
        self.bias_scales = bias_scales
        self.subgraph = Subgraph(name)

    def scale(self, name: str) -> Scale:
        return self.result.activations[name]

    def features(self) -> int:
        """The subgraph's first input: one step of the front end's features."""
        size = self.result.topology.feature_size
        x = _activation(self.subgraph, "features", (1, 1, 1, size), self.scale("features"))
        self.subgraph.inputs.append(x)
        return x

    def weights(self, name: str, shape: tuple[int, ...], input_scale: float, axis: int = 0) -> list[int]:
        """Constants of a layer: [weights, bias], the weights reshaped as the operator wants them."""
        layer = self.result.layers[name]
        append = self.subgraph.int4_constant if layer.bits == 4 else self.subgraph.constant
        weights = append(
            name + ".weight",
            layer.integers.reshape(shape),
            scale=tuple(float(scale) for scale in layer.scales),
            zero_point=(0,) * len(layer.scales),
            quantized_dimension=axis,
        )
        scales = np.float32(input_scale) * layer.scales if self.bias_scales else ()
        quantisation = {"scale": tuple(float(scale) for scale in scales), "zero_point": (0,) * len(scales)}
        return [weights, self.subgraph.constant(name + ".bias", layer.bias, **quantisation)]

    def remember(self, x: int, source: str, history: int, state: int) -> int:
        """Put a state of history steps before x; the slice that drops the oldest is an output."""
        channels = self.subgraph.tensors[x].shape[3]
        shape = (1, 1, history, channels)
        scale = self.scale(source)
        old = _activation(self.subgraph, "state{}".format(state), shape, scale)
        joined = _activation(self.subgraph, "window{}".format(state), (1, 1, history + 1, channels), scale)
        new = _activation(self.subgraph, "next_state{}".format(state), shape, scale)
        self.subgraph.inputs.append(old)
        self.subgraph.outputs.append(new)
        self.subgraph.operate("CONCATENATION", [old, x], [joined], Axis=_TIME_AXIS, FusedActivationFunction=_NONE)
        begin = self.subgraph.constant("begin{}".format(state), np.array([0, 0, 1, 0], np.int32))
        end = self.subgraph.constant("end{}".format(state), np.array([1, 1, history + 1, channels], np.int32))
        strides = self.subgraph.constant("strides{}".format(state), np.ones(4, np.int32))
        masks = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"), 0)
        self.subgraph.operate("STRIDED_SLICE", [joined, begin, end, strides], [new], **masks)
        return joined

    def convolution(self, name: str, x: int, source: str, width: int, relu: bool, *, output: str = "") -> int:
        """CONV_2D over the width columns of x; width 1 is a pointwise layer. output: whose scale it has, or its own."""
        layer = self.result.layers[name]
        count, channels = len(layer.bias), self.subgraph.tensors[x].shape[3]
        constants = self.weights(name, (count, 1, width, channels), self.scale(source).scale)
        y = _activation(self.subgraph, name, (1, 1, 1, count), self.scale(output or name))
        options = {**_CONVOLUTION, "FusedActivationFunction": _fused(relu), "DilationWFactor": 1, "DilationHFactor": 1}
        self.subgraph.operate("CONV_2D", [x, *constants], [y], **options)
        return y

    def depthwise(self, name: str, x: int, source: str, block: Block, relu: bool) -> int:
        """DEPTHWISE_CONV_2D over the columns of x."""
        channels = self.subgraph.tensors[x].shape[3]
        constants = self.weights(name, (1, 1, block.width, channels), self.scale(source).scale, axis=3)
        y = _activation(self.subgraph, name, (1, 1, 1, channels), self.scale(name))
        options = {**_CONVOLUTION, "DepthMultiplier": 1, "FusedActivationFunction": _fused(relu)}
        options |= {"DilationWFactor": block.dilation, "DilationHFactor": 1}
        self.subgraph.operate("DEPTHWISE_CONV_2D", [x, *constants], [y], **options)
        return y

    def requantise(self, name: str, x: int, source: str) -> int:
        """QUANTIZE from the scale of source to that of name; nothing where they are equal."""
        if self.scale(source) == self.scale(name):
            return x
        y = _activation(self.subgraph, name, self.subgraph.tensors[x].shape, self.scale(name))
        self.subgraph.operate("QUANTIZE", [x], [y])
        return y

    def add(self, name: str, a: int, b: int, relu: bool) -> int:
        y = _activation(self.subgraph, name, self.subgraph.tensors[a].shape, self.scale(name))
        self.subgraph.operate("ADD", [a, b], [y], FusedActivationFunction=_fused(relu))
        return y


def _encoder(result: Quantised, bias_scales: bool = True) -> Subgraph:
    topology = result.topology
    layers = _Layers(result, "encoder", bias_scales)
    subgraph = layers.subgraph
    x = layers.features()
    window = layers.remember(x, "features", topology.front_width - 1, 0)
    x, stream = layers.convolution("front", window, "features", topology.front_width, True), "front"
    for index, block in enumerate(topology.blocks):
        name = "block{}.".format(index)
        window = layers.remember(x, stream, block.history, index + 1)
        d = layers.depthwise(name + "depthwise", window, stream, block, topology.depthwise_relu)
        p = layers.convolution(name + "pointwise", d, name + "depthwise", 1, topology.pointwise_relu)
        x, stream = layers.add(name + "sum", x, p, topology.sum_relu), name + "sum"
    encoded = layers.convolution("projection", x, stream, 1, False)
    subgraph.outputs.insert(0, encoded)
    return subgraph


def _light_encoder(result: Quantised, bias_scales: bool = True) -> Subgraph:
    """The light branch: the encoder's states, in their order; blocks that it leaves out only remember the stream."""
    topology = result.topology
    assert topology.branching is not None
    layers = _Layers(result, LIGHT, bias_scales)
    subgraph = layers.subgraph
    x = layers.features()
    window = layers.remember(x, "features", topology.front_width - 1, 0)
    x = layers.convolution("light.front", window, "features", topology.front_width, True, output="front")
    stream = "front"
    for index, block in enumerate(topology.blocks):
        name = "block{}.".format(index)
        window = layers.remember(x, stream, block.history, index + 1)
        if index in topology.branching.light_blocks:
            d = layers.depthwise(name + "depthwise", window, stream, block, topology.depthwise_relu)
            p = layers.convolution("light." + name + "pointwise", d, name + "depthwise", 1, topology.pointwise_relu)
            x = layers.add(name + "sum", x, p, topology.sum_relu)
        else:
            x = layers.requantise(name + "sum", x, stream)
        stream = name + "sum"
    subgraph.outputs.insert(0, layers.convolution("light.projection", x, stream, 1, False, output="projection"))
    return subgraph


def _arbitrator(result: Quantised, bias_scales: bool = True) -> Subgraph:
    topology = result.topology
    assert topology.branching is not None
    layers = _Layers(result, ARBITRATOR, bias_scales)
    subgraph = layers.subgraph
    x = layers.features()
    x = layers.convolution("arbitrator.front", x, "features", 1, True)
    block = Block(topology.branching.arbitrator_width)
    window = layers.remember(x, "arbitrator.front", block.history, 0)
    x = layers.depthwise("arbitrator.depthwise", window, "arbitrator.front", block, True)
    subgraph.outputs.insert(0, layers.convolution("arbitrator.output", x, "arbitrator.depthwise", 1, False))
    return subgraph


def _label(subgraph: Subgraph, labels: int, age: int) -> int:
    """One of the predictor's two labels."""
    label = subgraph.add(Tensor("label{}".format(age), (1,), "int32"))
    bounds = [
        subgraph.constant("{}{}".format(name, age), np.array([value], np.int32))
        for name, value in (("begin", age), ("end", age + 1), ("strides", 1))
    ]
    masks = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"), 0)
    subgraph.operate("STRIDED_SLICE", [labels, *bounds], [label], **masks)
    return label


def _predictor(result: Quantised) -> Subgraph:
    topology = result.topology
    layers = _Layers(result, "predictor")
    subgraph = layers.subgraph
    labels = subgraph.add(Tensor("labels", (topology.context_size,), "int32"))
    subgraph.inputs.append(labels)
    names = ["predicted"] if topology.context_size == 1 else ["row0", "row1"]
    rows = []
    for age, name in enumerate(names):
        scale = layers.scale(name)
        quantisation = {"scale": (scale.scale,), "zero_point": (scale.zero_point,)}
        table = subgraph.constant("table{}".format(age), result.tables[age], **quantisation)
        label = labels if topology.context_size == 1 else _label(subgraph, labels, age)
        rows.append(_activation(subgraph, name, (1, topology.joint), scale))
        subgraph.operate("GATHER", [table, label], [rows[-1]], Axis=0, BatchDims=0)
    subgraph.outputs.append(rows[0] if len(rows) == 1 else layers.add("predicted", rows[0], rows[1], False))
    return subgraph


def _joint(result: Quantised, bias_scales: bool = True) -> Subgraph:
    """The output layer is a 1x1 CONV_2D and not FULLY_CONNECTED, which LiteRT's reference kernels round
    otherwise than TensorFlow Lite Micro does (docs/model_file.md)."""
    topology = result.topology
    layers = _Layers(result, "joint", bias_scales)
    subgraph = layers.subgraph
    shape = (1, 1, 1, topology.joint)
    encoded = _activation(subgraph, "encoded", shape, layers.scale("projection"))
    predicted = _activation(subgraph, "predicted", shape, layers.scale("predicted"))
    subgraph.inputs += [encoded, predicted]
    hidden = layers.add("hidden", encoded, predicted, relu=True)
    subgraph.outputs.append(layers.convolution("logits", hidden, "hidden", 1, False))
    return subgraph


def model_bytes(result: Quantised, metadata: Metadata, description: str = "", *, bias_scales: bool = True) -> bytes:
    """Lay a quantised network out as a model file.

    Args:
        result: from quantize.quantise.
        metadata: units and front-end settings; as many units as the topology has.
        description: of the model, for people.
        bias_scales: write the scales of biases, 4 bytes per channel. They are input scale x weight scale:
            interpreters do without (docs/model_file.md), other tools may not.
    Returns:
        bytes: the .tflite file; equal input gives equal bytes.
    Raises:
        UserError: the metadata does not fit the topology.
    """
    if len(metadata.units) != result.topology.units:
        raise UserError("{} unit names for {} units".format(len(metadata.units), result.topology.units))
    entry = encode_metadata(metadata, result.topology.context_size)
    subgraphs = [_encoder(result, bias_scales), _predictor(result), _joint(result, bias_scales)]
    if result.topology.branching:
        subgraphs[1:1] = [_light_encoder(result, bias_scales), _arbitrator(result, bias_scales)]
    check_branches(subgraphs)
    return seal(serialise(Model(subgraphs, description, {stapes_spec.MODEL_METADATA_NAME: entry})))


def write_model(
    path: str | Path,
    topology: Topology,
    parameters: Parameters,
    calibration: Sequence[np.ndarray],
    metadata: Metadata,
    *,
    description: str = "",
    weight_bits: Mapping[str, int] | None = None,
    grid: Grid | None = None,
    bias_scales: bool = True,
) -> int:
    """Quantise a network and write its model file.

    Args:
        path: of the .tflite file.
        topology, parameters: the network (topology.py).
        calibration: utterances of features, int8 [T, 120] each.
        metadata: units and front-end settings.
        description: of the model, for people.
        weight_bits, grid: as quantise takes them.
        bias_scales: as model_bytes takes it.
    Returns:
        int: bytes written.
    Raises:
        UserError: parameters, calibration, bits, grid or metadata do not fit, or the file cannot be written.
    """
    result = quantise(topology, parameters, calibration, weight_bits=weight_bits, grid=grid)
    data = model_bytes(result, metadata, description, bias_scales=bias_scales)
    try:
        return Path(path).write_bytes(data)
    except OSError as fault:
        raise UserError("cannot write the model: {}".format(fault.strerror), path) from fault


def random_calibration(seed: int, utterances: int = 4, steps: int = 60) -> list[np.ndarray]:
    """Features that look like speech to a random network: int8 [steps, 120], correlated in time."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 24.0, (utterances, steps, stapes_spec.FRONTEND_FEATURE_SIZE))
    noise[:, 1:] = 0.7 * noise[:, :-1] + 0.7 * noise[:, 1:]
    return [np.clip(np.rint(utterance), -128, 127).astype(np.int8) for utterance in noise]


def random_topology(small: bool = True, **changes) -> Topology:
    """A small network for tests (24 channels, 2 blocks), or one of about the shipped model's size."""
    sizes = (
        {"channels": 24, "blocks": (Block(5), Block(3)), "joint": 16, "units": 40}
        if small
        else {"channels": 192, "blocks": (Block(5),) * 7, "joint": 128, "units": 40}
    )
    return Topology(**{**sizes, **changes})


def random_model(seed: int, small: bool = True, bits: int = 8, bias_scales: bool = True, **changes) -> bytes:
    """A model file with random weights, for tests and for trying sizes.

    Args:
        seed: equal seeds give equal files.
        small: see random_topology.
        bits: of the weights of the encoder's matrices, 8 or 4.
        bias_scales: see model_bytes.
        changes: fields of Topology that differ from that.
    """
    topology = random_topology(small, **changes)
    units = ("<blank>", *("u{}".format(unit) for unit in range(1, topology.units)))
    weight_bits = four_bits(topology) if bits == 4 else None
    result = quantise(topology, random_parameters(topology, seed), random_calibration(seed), weight_bits=weight_bits)
    return model_bytes(result, Metadata(units), "random weights, seed {}".format(seed), bias_scales=bias_scales)
