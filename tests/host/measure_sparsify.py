"""What each part of `stapes sparsify` is worth, on inputs that it has not seen.

Usage: python tests/host/measure_sparsify.py MODEL.tflite CALIBRATION HELD_OUT [ZEROS]
"""

import sys
from pathlib import Path

from stapes_tools.convert.calibration import choose
from stapes_tools.convert.layers import find_layers
from stapes_tools.convert.read import read_model
from stapes_tools.convert.reconstruct import Block
from stapes_tools.convert.sparsify import relative_error, sparsify

METHODS = {
    "bias correction alone, as many zeros in each layer": (False, False),
    "weights that make up, as many zeros in each layer": (True, False),
    "weights that make up, zeros by sensitivity": (True, True),
}


def held_out_error(data: bytes, sparse, held_out: Path) -> tuple[float, float]:
    """(error over variance, share of steps with the same largest output) of a sparse model on its own."""
    network = choose(data, read_model(data), held_out).network
    exact = network.outputs(network.trace())
    for index, part in enumerate(sparse.subgraphs):
        network.model.subgraphs[index].tensors[:] = part.tensors
    for layer in find_layers(sparse):
        network.runs[layer.subgraph].renew(layer.operator)
    found = network.outputs(network.trace())
    same = [(a.argmax(axis=1) == b.argmax(axis=1)).mean() for a, b in zip(exact, found, strict=True)]
    return relative_error(exact, found), float(min(same))


def main(model: str, calibration: str, held_out: str, zeros: str = "0.75") -> None:
    data = Path(model).read_bytes()
    for name, (update, measured) in METHODS.items():
        sparse = read_model(data)
        chosen = choose(data, sparse, Path(calibration))
        result = sparsify(chosen.network, float(zeros), Block(4, 1), update=update, measured=measured)
        error, same = held_out_error(data, sparse, Path(held_out))
        print(
            f"{name}: error {result.error:.4f} (smallest weights: {result.error_by_size:.4f}), "
            f"held out {error:.4f}, same largest output {100 * same:.1f} %; {chosen.text}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
