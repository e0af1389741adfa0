"""The end-pointer's net as a subgraph: quantise its float layers, put it into a model file, take it out.

    encoded [joint] -> CONV_2D + ReLU [8] -+
    features [120]  -> CONV_2D + ReLU [4] -+- CONCATENATION [24] - state, DEPTHWISE_CONV_2D + ReLU (8 steps)
    search [10]     -> CONV_2D + ReLU [12]-+  - CONV_2D + ReLU [16] - CONV_2D -> logit [1], 2^-3 nats

The three first layers share one scale. docs/endpoints.md says what the inputs are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import stapes_spec as spec
import tflite

from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Subgraph, Tensor
from stapes_tools.convert.metadata import EndpointSettings, context_size, decode_metadata, encode_metadata, seal
from stapes_tools.convert.read import read_model
from stapes_tools.convert.scales import Scale, Weights, quantise_weights, scale_for_range
from stapes_tools.errors import UserError

WIDTHS = {"encoded": 8, "features": 4, "search": 12}
HISTORY = 7  # steps that the depthwise layer remembers
HIDDEN = 16
JOINED = sum(WIDTHS.values())
SEARCH_SCALE = Scale(2.0**-4, 0)
FEATURE_SCALE = Scale(2.0**-spec.FRONTEND_FEATURE_FRACTION_BITS, 0)
LOGIT_SCALE = Scale(2.0**-spec.ENDPOINT_LOGIT_FRACTION_BITS, 0)

_NONE = tflite.ActivationFunctionType.NONE
_RELU = tflite.ActivationFunctionType.RELU
_CONVOLUTION = {"Padding": tflite.Padding.VALID, "StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}

# Float layers: name -> (weight, bias). Weights are [out, in] of "encoded", "features", "search", "hidden" and
# "logit", [HISTORY + 1, JOINED], oldest first, of "depthwise".
Layers = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Ranges:
    """The largest activation behind each ReLU that training data show."""

    joined: float
    depthwise: float
    hidden: float


def encoder_scale(data: bytes) -> tuple[int, Scale]:
    """Size and scale of a model's encoder output.

    Raises:
        UserError: the model has no encoder.
    """
    try:
        encoder = read_model(data).subgraph("encoder")
    except KeyError:
        raise UserError("the model has no encoder", advice="use a model made by Stapes") from None
    tensor = encoder.tensors[encoder.outputs[0]]
    return tensor.shape[-1], Scale(tensor.scale[0], tensor.zero_point[0])


class _Writer:
    """Appends the net's layers to a subgraph; methods return the index of their output."""

    def __init__(self) -> None:
        self.part = Subgraph(spec.ENDPOINT_SUBGRAPH)

    def activation(self, name: str, columns: int, channels: int, scale: Scale) -> int:
        return self.part.add(Tensor(name, (1, 1, columns, channels), "int8", (scale.scale,), (scale.zero_point,)))

    def constants(self, name: str, layer: Weights, shape: tuple[int, ...], axis: int) -> list[int]:
        scales = tuple(float(scale) for scale in layer.scales)
        points = (0,) * len(scales)
        weights = self.part.constant(
            f"{name}.weight", layer.integers.reshape(shape), scale=scales, zero_point=points, quantized_dimension=axis
        )
        return [weights, self.part.constant(f"{name}.bias", layer.bias)]

    def convolution(self, name: str, x: int, layers: Layers, scale: Scale, relu: bool = True) -> int:
        weight, bias = layers[name]
        constants = self.constants(name, self.quantise(x, weight, bias), (len(bias), 1, 1, weight.shape[1]), 0)
        y = self.activation(f"{name}.output", 1, len(bias), scale)
        self.part.operate(
            "CONV_2D", [x, *constants], [y], **_CONVOLUTION, FusedActivationFunction=_RELU if relu else _NONE
        )
        return y

    def depthwise(self, x: int, layers: Layers, scale: Scale) -> int:
        weight, bias = layers["depthwise"]
        constants = self.constants("depthwise", self.quantise(x, weight, bias, 1), (1, 1, *weight.shape), 3)
        y = self.activation("depthwise.output", 1, len(bias), scale)
        options = {**_CONVOLUTION, "DepthMultiplier": 1, "FusedActivationFunction": _RELU}
        self.part.operate("DEPTHWISE_CONV_2D", [x, *constants], [y], **options)
        return y

    def quantise(self, x: int, weight: np.ndarray, bias: np.ndarray, axis: int = 0) -> Weights:
        return quantise_weights(np.asarray(weight, np.float32), bias, self.part.tensors[x].scale[0], axis)

    def remember(self, x: int, scale: Scale) -> int:
        """Put the state of HISTORY steps before x; the slice that drops the oldest is an output."""
        part = self.part
        old = self.activation("state0", HISTORY, JOINED, scale)
        window = self.activation("window0", HISTORY + 1, JOINED, scale)
        new = self.activation("next_state0", HISTORY, JOINED, scale)
        part.inputs.append(old)
        part.outputs.append(new)
        part.operate("CONCATENATION", [old, x], [window], Axis=2, FusedActivationFunction=_NONE)
        bounds = ((0, 0, 1, 0), (1, 1, HISTORY + 1, JOINED), (1, 1, 1, 1))
        operands = [
            part.constant(name, np.array(bound, np.int32))
            for name, bound in zip(("begin0", "end0", "strides0"), bounds, strict=True)
        ]
        masks = dict.fromkeys(("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"), 0)
        part.operate("STRIDED_SLICE", [window, *operands], [new], **masks)
        return window


def net_subgraph(layers: Layers, ranges: Ranges, joint: int, encoded: Scale) -> Subgraph:
    """Quantise the net and lay it out.

    Args:
        layers: float parameters.
        ranges: of its activations.
        joint, encoded: size and scale of the encoder's output.
    """
    writer = _Writer()
    joined, depthwise, hidden = (scale_for_range(0.0, top) for top in (ranges.joined, ranges.depthwise, ranges.hidden))
    sizes = {"encoded": joint, "features": spec.FRONTEND_FEATURE_SIZE, "search": spec.ENDPOINT_SEARCH_FEATURES}
    scales = {"encoded": encoded, "features": FEATURE_SCALE, "search": SEARCH_SCALE}
    fronts = []
    for name, size in sizes.items():
        x = writer.activation(name, 1, size, scales[name])
        writer.part.inputs.append(x)
        fronts.append(writer.convolution(name, x, layers, joined))
    x = writer.activation("joined", 1, JOINED, joined)
    writer.part.operate("CONCATENATION", fronts, [x], Axis=3, FusedActivationFunction=_NONE)
    x = writer.depthwise(writer.remember(x, joined), layers, depthwise)
    x = writer.convolution("hidden", x, layers, hidden)
    writer.part.outputs.insert(0, writer.convolution("logit", x, layers, LOGIT_SCALE, relu=False))
    return writer.part


def with_endpointer(data: bytes, net: Subgraph | None, settings: EndpointSettings | None, rejection: int = 0) -> bytes:
    """A model file with another end-pointer, or none, and another rejection; all else stays.

    Args:
        data: a .tflite with Stapes metadata, packed or not.
        net: from net_subgraph; replaces what is there.
        settings, rejection: of the metadata.
    Raises:
        UserError: the file is damaged, has no metadata, or has no room for another subgraph.
    """
    model = read_model(data)
    model.subgraphs = [part for part in model.subgraphs if part.name != spec.ENDPOINT_SUBGRAPH]
    if net is not None:
        model.subgraphs.append(net)
    if len(model.subgraphs) > spec.MODEL_MAX_SUBGRAPHS:
        raise UserError(
            f"the model has {len(model.subgraphs) - 1} subgraphs, the board takes {spec.MODEL_MAX_SUBGRAPHS}"
        )
    metadata = replace(decode_metadata(data), endpoint=settings, rejection=rejection)
    model.metadata[spec.MODEL_METADATA_NAME] = encode_metadata(metadata, context_size(data))
    return seal(serialise(model))
