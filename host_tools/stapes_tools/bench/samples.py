"""Matrices and models to measure: random weights, of which a given share is zero."""

from functools import cache
from typing import Any

import numpy as np
import stapes_spec as spec
import tflite

from ..convert.flatbuffer import serialise
from ..convert.graph import Model, Operator, Subgraph, Tensor, pack_int4
from ..convert.metadata import Metadata, encode_metadata, seal
from ..convert.read import read_model
from ..convert.topology import Block
from ..convert.write import random_model

# A full-size encoder: 651 k weights.
ENCODER: dict[str, Any] = {"channels": 256, "blocks": (Block(5),) * 8, "joint": 96}
CELLS = 128  # of an LSTM, and its inputs
_X_SCALE, _Y_SCALE = 1 / 16, 1 / 8


def sparse_matrix(
    rng: np.random.Generator, rows: int, depth: int, bits: int, keep: float, *, extreme: bool = False
) -> np.ndarray:
    """Random weights, no zero in a block that is kept.

    Args:
        rows, depth: of the matrix; rows a multiple of 4.
        bits: of a weight, 4 or 8.
        keep: the share of blocks of four outputs by one input.
        extreme: the largest weight everywhere.
    Returns:
        int64 [rows, depth].
    """
    limit = (1 << bits - 1) - 1
    blocks = rows // spec.ZERO_SKIP_ROWS * depth
    kept = np.zeros(blocks, bool)
    kept[rng.permutation(blocks)[: round(blocks * keep)]] = True
    values = np.full((rows, depth), limit) if extreme else rng.integers(1, limit + 1, (rows, depth))
    signs = 1 if extreme else rng.choice([-1, 1], (rows, depth))
    return values * signs * np.repeat(kept.reshape(-1, depth), spec.ZERO_SKIP_ROWS, axis=0)


def conv_model(matrix: np.ndarray, bits: int) -> bytes:
    """A model whose encoder is one 1x1 CONV_2D with bias and a scale per output.

    Args:
        matrix: int [rows, depth].
        bits: of a weight in the file, 4 or 8.
    """
    rows, depth = matrix.shape
    part = Subgraph("encoder")
    x = part.add(Tensor("x", (1, 1, 1, depth), "int8", (_X_SCALE,), (3,)))
    values = matrix.astype(np.int8).reshape(rows, 1, 1, depth)
    quantisation = {"scale": (1 / (16 << bits),) * rows, "zero_point": (0,) * rows}
    constant = part.int4_constant if bits == 4 else part.constant
    weights = constant("weights", values, **quantisation)
    bias = part.constant("bias", np.arange(rows, dtype=np.int32))
    y = part.add(Tensor("y", (1, 1, 1, rows), "int8", (_Y_SCALE,), (-5,)))
    part.operate("CONV_2D", [x, weights, bias], [y], Padding=1, StrideW=1, StrideH=1)
    part.inputs, part.outputs = [x], [y]
    return one_part(part)


def add_lstm(part: Subgraph, x: int, matrices: list[np.ndarray], scale: float, steps: int = 1) -> int:
    """Append an UNIDIRECTIONAL_SEQUENCE_LSTM; returns its output, int8 [1, steps, cells].

    Args:
        part: to append it to.
        x: its input, int8 [1, steps, inputs].
        matrices: int [cells, inputs] of the four gates, then [cells, cells] of them.
        scale: of the weights.
    """
    cells = len(matrices[0])
    state: dict[str, Any] = {"scale": (1 / 110,), "zero_point": (-5,)}
    one: dict[str, Any] = {"scale": (scale,), "zero_point": (0,)}
    weights = [part.constant(f"matrix{k}", matrix.astype(np.int8), **one) for k, matrix in enumerate(matrices)]
    biases = [part.constant(f"bias{k}", np.arange(cells, dtype=np.int32) * (k + 1)) for k in range(4)]
    hidden = part.add(Tensor("hidden", (1, cells), "int8", variable=True, **state))
    cell = part.add(Tensor("cell", (1, cells), "int16", (2**-11,), (0,), variable=True))
    y = part.add(Tensor("cells", (1, steps, cells), "int8", **state))
    gates = [part.add(Tensor(f"gate{k}", (0,), "int16", (2**-12,), (0,))) for k in range(4)]
    gates.append(part.add(Tensor("gate4", (0,), "int8", **state)))
    inputs = [x, *weights, -1, -1, -1, *biases, -1, -1, hidden, cell, -1, -1, -1, -1]
    options = {"FusedActivationFunction": tflite.ActivationFunctionType.TANH, "CellClip": 8.0}
    table = "UnidirectionalSequenceLSTMOptions"
    part.operators.append(
        Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], options, 2, table=table, intermediates=gates)
    )
    return y


def lstm_model(bits: int, keep: float) -> bytes:
    """A model whose encoder is an LSTM of CELLS inputs and CELLS cells; see sparse_matrix."""
    rng = np.random.default_rng(4)
    part = Subgraph("encoder")
    x = part.add(Tensor("x", (1, 1, CELLS), "int8", (_X_SCALE,), (3,)))
    matrices = [sparse_matrix(rng, CELLS, CELLS, bits, keep) for _ in range(8)]
    y = add_lstm(part, x, matrices, 1 / (2 << bits))
    part.inputs, part.outputs = [x], [y]
    return one_part(part)


def one_part(part: Subgraph) -> bytes:
    """A model of one subgraph, with metadata that the board takes."""
    entry = encode_metadata(Metadata(("<blank>", "a")), 1)
    return seal(serialise(Model([part], "", {spec.MODEL_METADATA_NAME: entry})))


def pruned(data: bytes, keep: float) -> bytes:
    """The model with a share of the blocks of four outputs by one input kept in its dense layers, the rest zero."""
    model = read_model(data)
    rng = np.random.default_rng(3)
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if operator.kind == "CONV_2D":
                tensor = subgraph.tensors[operator.inputs[1]]
                matrix = tensor.array().reshape(tensor.shape[0], -1)
                kept = rng.random(((len(matrix) + 3) // 4, matrix.shape[1])) < keep
                matrix = matrix * np.repeat(kept, 4, axis=0)[: len(matrix)]
                tensor.data = pack_int4(matrix) if tensor.dtype == "int4" else matrix.tobytes()
    return seal(serialise(model))


def encoder_model(bits: int, keep: float = 1.0) -> bytes:
    """A model with a full-size encoder of random weights, some of them zero."""
    model = _dense_encoder(bits)
    return pruned(model, keep) if keep < 1 else model


@cache
def _dense_encoder(bits: int) -> bytes:
    return random_model(7, bits=bits, **ENCODER)
