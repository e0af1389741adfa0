"""A TensorFlow Lite model as plain objects, the form in which the converter builds and reads it.

Only what int8 models for the board need: no sparsity, no control flow. ``flatbuffer.py`` turns
it into a file, ``read.py`` turns a file into it.
"""

from dataclasses import dataclass, field

import numpy as np

# Operators whose options can be written: options table of the schema, its fields in schema
# order, and the operator version that int8 tensors need (tensorflow op_version.cc).
OPTIONS: dict[str, tuple[str, tuple[str, ...], int]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction", "PotScaleInt16"), 2),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction"), 2),
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "DilationWFactor", "DilationHFactor"),
        3,
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "DepthMultiplier",
            "FusedActivationFunction",
            "DilationWFactor",
            "DilationHFactor",
        ),
        3,
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"), 4),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims"), 2),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
        2,
    ),
}


@dataclass
class Tensor:
    """One tensor; data holds a constant's bytes (little endian), None for an activation."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int = 0
    data: bytes | None = None
    variable: bool = False

    def array(self) -> np.ndarray:
        """The constant as an array."""
        assert self.data is not None, "{} is not a constant".format(self.name)
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclass
class Operator:
    """One operator: builtin name, tensor indices (-1 = left out), schema options."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, int] = field(default_factory=dict)
    version: int = 1


@dataclass
class Subgraph:
    """One part of the model. Tensor names must be unique within it."""

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, tensor: Tensor) -> int:
        """Append a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, values: np.ndarray, **quantisation) -> int:
        """Append a constant tensor; returns its index."""
        data = np.ascontiguousarray(values)
        return self.add(Tensor(name, data.shape, data.dtype.name, data=data.tobytes(), **quantisation))

    def operate(self, kind: str, inputs: list[int], outputs: list[int], **options: int) -> None:
        """Append an operator of the version that int8 needs."""
        self.operators.append(Operator(kind, inputs, outputs, options, OPTIONS[kind][2]))


@dataclass
class Model:
    """A whole file."""

    subgraphs: list[Subgraph]
    description: str = ""
    metadata: dict[str, bytes] = field(default_factory=dict)

    def subgraph(self, name: str) -> Subgraph:
        """The subgraph called name; KeyError if there is none."""
        for subgraph in self.subgraphs:
            if subgraph.name == name:
                return subgraph
        raise KeyError(name)
