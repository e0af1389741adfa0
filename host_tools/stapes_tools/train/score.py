"""Command acceptance of a model file: the board package on the host's kernels, integers only.

    python -m stapes_tools.train.score FOLDER --grammar FILE --model FILE

FOLDER holds recordings and refs.json: {name: {"slots": {...}, "text": ...}}. An order is accepted
when every labelled slot is right and no other slot was filled.
"""

import argparse
import json
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stapes_tools import kernels
from stapes_tools.corpora.build import read_recording, worker_pool
from stapes_tools.errors import UserError
from stapes_tools.grammar.compiler import compile_grammar

_recognizer = None


@dataclass(frozen=True)
class Heard:
    """What the recogniser made of one recording."""

    text: str
    slots: dict[str, str]
    complete: bool


def recognise(model: bytes, graph: bytes, recordings: Iterable[np.ndarray], processes: int) -> list[Heard]:
    """Recognise recordings, int16 [n] at 16 kHz each, in parallel processes."""
    with worker_pool(processes, initializer=_open, initargs=(model, graph)) as pool:
        return list(pool.map(_hear, recordings, chunksize=4))


def accepted(heard: Heard, slots: dict[str, str]) -> bool:
    """Whether the slots are exactly the labelled ones and the sentence is whole."""
    return heard.complete and heard.slots == slots


def _open(model: bytes, graph: bytes) -> None:
    global _recognizer  # noqa: PLW0603
    kernels.install()
    from stapes.recognizer import Recognizer

    _recognizer = Recognizer(model, graph)


def _hear(samples: np.ndarray) -> Heard:
    recognizer = _recognizer
    assert recognizer is not None
    recognizer.reset()
    recognizer.accept_waveform(array("h", samples.tobytes()))
    recognizer.input_finished()
    lattice = recognizer.lattice()
    return Heard(lattice.text, dict(lattice.slots), bool(lattice.is_complete))


def word_errors(pairs: Sequence[tuple[str, str]]) -> float:
    """Errors per reference word over (reference, hypothesis) pairs."""
    from stapes_tools.train.greedy import edit_distance

    errors = sum(edit_distance(reference.split(), hypothesis.split()) for reference, hypothesis in pairs)
    return errors / max(1, sum(len(reference.split()) for reference, _ in pairs))


def main() -> int:
    """Command line; exit codes 0 and 2 (user's mistake)."""
    parser = argparse.ArgumentParser(prog="python -m stapes_tools.train.score", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--grammar", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/first/model.tflite"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--wrong", action="store_true", help="list what was not accepted")
    arguments = parser.parse_args()
    try:
        references = json.loads((arguments.folder / "refs.json").read_text())
        graph = compile_grammar(arguments.grammar)
        model = arguments.model.read_bytes()
    except FileNotFoundError as error:
        print(f"stapes: {error.filename}: no such file", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"stapes: {error}", file=sys.stderr)
        return error.exit_code
    paths = [next(arguments.folder.glob(f"{name}.*")) for name in references]
    heard = recognise(model, graph, map(read_recording, paths), arguments.processes)
    good = [accepted(result, row["slots"]) for result, row in zip(heard, references.values(), strict=True)]
    pairs = [(row["text"], result.text) for result, row in zip(heard, references.values(), strict=True)]
    for right, (reference, hypothesis) in zip(good, pairs, strict=True):
        if arguments.wrong and not right:
            print(f"  said {reference}\n  heard {hypothesis}")
    wrong_words = 100 * word_errors(pairs)
    print(f"accepted {sum(good)} of {len(good)}: {100 * np.mean(good):.1f} %; {wrong_words:.1f} % of words wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
