"""Our own float checkpoints (checkpoint.py) as model files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stapes_tools.convert import checkpoint
from stapes_tools.convert.grid import Grid, four_bits
from stapes_tools.convert.metadata import Metadata, decode_metadata
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.topology import Parameters, Topology
from stapes_tools.convert.write import model_bytes
from stapes_tools.grammar.units import UNITS

_MODEL = "model.tflite"
# The largest weight of a matrix in 8 bits is more steps of its grid than this; in 4 bits, clipped to 7, it is less.
_LEAST_8_BITS = 32


def convert_checkpoint(path: Path, calibration: Sequence[np.ndarray]) -> tuple[bytes, str]:
    """Quantise a checkpoint; its search settings are those of the model.tflite beside it, if there is one.

    Args:
        path: a .npz of `stapes train`.
        calibration: recordings' samples, int16 [n], 16 kHz, or features, int8 [T, 120].
    Returns:
        (the .tflite file, where its search settings come from).
    Raises:
        UserError: no checkpoint, or a damaged one.
    """
    from stapes_tools.kernels.features import features

    saved = checkpoint.load(path)
    prior = np.asarray(saved.prior, np.int16)
    rows = [features(one, prior) if one.dtype == np.int16 else one for one in calibration]
    metadata, origin = _metadata(path, prior)
    bits = _weight_bits(saved.topology, saved.parameters, saved.grid)
    result = quantise(saved.topology, saved.parameters, rows, weight_bits=bits, grid=saved.grid)
    # No interpreter reads the scales of biases, and the file is the smaller without.
    return model_bytes(result, metadata, path.resolve().parent.name, bias_scales=False), origin


def _metadata(path: Path, prior: np.ndarray) -> tuple[Metadata, str]:
    beside = path.with_name(_MODEL)
    values = tuple(int(value) for value in prior)
    if not beside.exists():
        return Metadata(UNITS, values), "search settings: none yet"
    return replace(decode_metadata(beside.read_bytes()), prior=values), f"search settings: those of {beside}"


def _weight_bits(topology: Topology, parameters: Parameters, grid: Grid) -> dict[str, int]:
    """Bits by layer that a grid's scales were trained for."""
    found = {}
    for name in four_bits(topology):
        if name in grid.weight_scales:
            weight = parameters[name + ".weight"]
            scales = grid.weight_scales[name].reshape(-1, *[1] * (weight.ndim - 1))
            if np.abs(weight / scales).max() < _LEAST_8_BITS:
                found[name] = 4
    return found
