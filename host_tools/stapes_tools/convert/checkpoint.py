"""Float parameters on disk: one .npz with the topology, the front end's prior and, where there is one, the grid.

Weights are stored as float16, which costs less than a tenth of the smallest integer step, and
compressed, so that zeros take next to nothing.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from stapes_tools.convert.grid import Grid
from stapes_tools.convert.scales import Scale
from stapes_tools.convert.topology import Block, Branching, Parameters, Topology, check_parameters
from stapes_tools.errors import UserError

FORMAT = 1
# In order; each leaves a checkpoint of its name.
STAGES = ("dense", "compressed", "branched")


@dataclass(frozen=True)
class Saved:
    """One checkpoint's contents."""

    topology: Topology
    parameters: Parameters
    prior: np.ndarray
    grid: Grid


def save(path: Path, topology: Topology, parameters: Parameters, prior: np.ndarray, grid: Grid) -> None:
    """Write a checkpoint; the file appears whole or not at all."""
    arrays = {f"parameter/{name}": value.astype(np.float16) for name, value in parameters.items()}
    arrays |= {f"step/{name}": np.asarray(value, np.float32) for name, value in grid.weight_scales.items()}
    head = {
        "format": FORMAT,
        "topology": asdict(topology),
        "activations": {name: [scale.scale, scale.zero_point] for name, scale in grid.activations.items()},
    }
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, head=np.array(json.dumps(head)), prior=prior, **arrays)  # type: ignore[arg-type]
    partial.rename(path)


def load(path: Path) -> Saved:
    """Read a checkpoint.

    Raises:
        UserError: missing, damaged, or of another format.
    """
    try:
        with np.load(path) as saved:
            head = json.loads(str(saved["head"]))
            groups = {kind: _group(saved, f"{kind}/") for kind in ("parameter", "step")}
            prior = saved["prior"]
    except FileNotFoundError:
        raise UserError("no such checkpoint", path, "train the model first") from None
    except (BadZipFile, ValueError, KeyError, OSError):
        raise UserError("not a checkpoint of Stapes, or damaged", path, "fetch or train it again") from None
    if head["format"] != FORMAT:
        raise UserError(f"checkpoint format {head['format']}, this version reads {FORMAT}", path, "train it again")
    shape = head["topology"]
    shape["blocks"] = tuple(Block(**block) for block in shape["blocks"])
    if shape.get("branching"):
        branching = shape["branching"] | {"light_blocks": tuple(shape["branching"]["light_blocks"])}
        shape["branching"] = Branching(**branching)
    topology = Topology(**shape)
    parameters = {name: value.astype(np.float32) for name, value in groups["parameter"].items()}
    check_parameters(topology, parameters)
    activations = {name: Scale(scale, int(zero)) for name, (scale, zero) in head["activations"].items()}
    return Saved(topology, parameters, prior, Grid(groups["step"], activations))


def _group(saved, prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix) :]: saved[name] for name in saved.files if name.startswith(prefix)}


def load_model(folder: Path, stage: str) -> tuple[Topology, Parameters]:
    """Topology and parameters of a stage of a shipped model."""
    found = load(folder / f"{stage}.npz")
    return found.topology, found.parameters
