"""A TensorFlow Lite model as plain objects, the form in which the converter builds and reads it.

Only what int8 models (weights also int4) for the board need: no sparsity, no control flow. ``flatbuffer.py`` turns
it into a file, ``read.py`` turns a file into it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

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
    "QUANTIZE": ("QuantizeOptions", (), 1),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
        2,
    ),
}

# Versions of operators that read weights of dtype int4.
INT4_VERSIONS = {"CONV_2D": 7}


def element_bits(dtype: str) -> int:
    """Bits of a tensor's element in the file; 0 for a type of the schema that numpy does not have."""
    if dtype == "int4":
        return 4
    try:
        return 8 * np.dtype(dtype).itemsize if dtype else 0
    except TypeError:
        return 0


def pack_int4(values: np.ndarray) -> bytes:
    """Two values per byte in row-major order, the first in the low nibble, two's complement.

    Args:
        values: int8, -8 to 7; an odd count leaves the last high nibble zero.
    """
    nibbles = np.append(values.ravel(), np.zeros(values.size % 2, np.int8)).astype(np.uint8) & 15
    return (nibbles[0::2] | nibbles[1::2] << 4).tobytes()


def unpack_int4(data: bytes, count: int) -> np.ndarray:
    """The first count values of pack_int4's bytes, int8 [count]."""
    pairs = np.frombuffer(data, np.uint8)
    nibbles = np.stack([pairs & 15, pairs >> 4], axis=-1).ravel()[:count].astype(np.int8)
    return (nibbles ^ 8) - np.int8(8)


@dataclass
class Tensor:
    """One tensor; data holds a constant's bytes (little endian), None for an activation.

    dtype is a numpy name, or int4: two per byte (pack_int4). signature is the schema's shape signature, -1
    where a dimension is open; () without one. sparse: data is in the schema's sparse form, which is not read.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    quantized_dimension: int = 0
    data: bytes | None = None
    variable: bool = False
    signature: tuple[int, ...] = ()
    sparse: bool = False

    def array(self) -> np.ndarray:
        """The constant as an array; int4 as int8."""
        assert self.data is not None, "{} is not a constant".format(self.name)
        if self.dtype == "int4":
            return unpack_int4(self.data, prod(self.shape)).reshape(self.shape)
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclass
class Operator:
    """One operator: builtin name, tensor indices (-1 = left out), schema options.

    packed: the operator is ours with packed weights (zero_skip.py), and kind, version and options are those of the
    stock operator. table is the schema's options table of a kind that OPTIONS does not list. custom and intermediates
    are the schema's custom options and intermediate tensors.
    """

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    packed: bool = False
    table: str = ""
    custom: bytes = b""
    intermediates: list[int] = field(default_factory=list)


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

    def int4_constant(self, name: str, values: np.ndarray, **quantisation) -> int:
        """Append a constant of int8 values -8 to 7 as int4; returns its index."""
        return self.add(Tensor(name, values.shape, "int4", data=pack_int4(values), **quantisation))

    def operate(self, kind: str, inputs: list[int], outputs: list[int], **options: int) -> None:
        """Append an operator of the version that its inputs' types need, int8 or int4."""
        version = INT4_VERSIONS[kind] if self._has_int4(inputs) else OPTIONS[kind][2]
        self.operators.append(Operator(kind, inputs, outputs, options, version))

    def named(self, indices: Iterable[int]) -> list[tuple[str, int]]:
        """Tensors with their names."""
        return [(self.tensors[index].name, index) for index in indices]

    def _has_int4(self, indices: Iterable[int]) -> bool:
        return any(self.tensors[index].dtype == "int4" for index in indices if index >= 0)


@dataclass
class Signature:
    """An entry point: its name, the subgraph's index, and names of inputs and outputs with their tensors."""

    key: str
    subgraph: int
    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]


@dataclass
class Model:
    """A whole file. Without signatures (None) each subgraph gets one that uses the tensors' names."""

    subgraphs: list[Subgraph]
    description: str = ""
    metadata: dict[str, bytes] = field(default_factory=dict)
    signatures: list[Signature] | None = None

    def default_signatures(self) -> list[Signature]:
        """One signature per subgraph."""
        return [
            Signature(part.name, index, part.named(part.inputs), part.named(part.outputs))
            for index, part in enumerate(self.subgraphs)
        ]

    def subgraph(self, name: str) -> Subgraph:
        """The subgraph called name; KeyError if there is none."""
        for subgraph in self.subgraphs:
            if subgraph.name == name:
                return subgraph
        raise KeyError(name)
