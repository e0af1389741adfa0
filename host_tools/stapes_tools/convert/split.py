"""Take one part out of a model file, as a file of its own.

Interpreters that run only the first subgraph (TensorFlow Lite Micro's Python package) can then
run any part.
"""

from dataclasses import replace

from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import OPTIONS, Model
from stapes_tools.convert.read import read_model
from stapes_tools.errors import UserError


def extract_subgraph(data: bytes, name: str) -> bytes:
    """One subgraph as a .tflite file without metadata.

    Args:
        data: a whole model file.
        name: of the subgraph.
    Returns:
        bytes: a file with that subgraph alone; tensors and operators keep their indices.
    Raises:
        UserError: not a model, no such subgraph, or an operator that cannot be copied.
    """
    model = read_model(data)
    try:
        subgraph = model.subgraph(name)
    except KeyError:
        found = ", ".join(part.name for part in model.subgraphs)
        raise UserError("the model has no subgraph {}; it has {}".format(name, found)) from None
    for operator in subgraph.operators:
        if operator.kind not in OPTIONS:
            raise UserError("cannot copy operator {} of subgraph {}".format(operator.kind, name))
    return serialise(Model([replace(subgraph)], model.description))
