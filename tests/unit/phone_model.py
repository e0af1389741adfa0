"""A random model with the units that grammars are compiled for."""

from stapes_tools.convert.metadata import Metadata
from stapes_tools.convert.quantize import quantise
from stapes_tools.convert.topology import Branching, random_parameters
from stapes_tools.convert.write import model_bytes, random_calibration, random_topology
from stapes_tools.grammar.units import UNITS


def phone_model(seed: int = 1, units: tuple[str, ...] = UNITS, **changes) -> bytes:
    """A small .tflite with random weights; equal seeds give equal files. changes: fields of Topology."""
    topology = random_topology(units=len(units), **changes)
    parameters = random_parameters(topology, seed)
    return model_bytes(quantise(topology, parameters, random_calibration(seed)), Metadata(units), "test")


def branched_model() -> bytes:
    """A phone_model with a light branch, whose arbitrator at its default effort takes now the one, now the other."""
    return phone_model(6, branching=Branching((), arbitrator_channels=3, arbitrator_width=4))
