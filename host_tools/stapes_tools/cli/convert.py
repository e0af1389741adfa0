"""`stapes convert`: a trained float model as an int8 model file."""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from ..audio import read_recording
from ..convert.board import plan
from ..convert.calibration import ARRAYS, RECORDINGS, calibration_files
from ..convert.from_keras import RANDOM_WARNING
from ..convert.inspect import describe
from ..convert.write import random_calibration
from ..errors import UserError
from .files import about, write_file
from .inspect import summary
from .render import console, messages

_PATH = click.Path(path_type=Path)
_CHECKPOINT = ".npz"
_KERAS = (".keras", ".h5")


@click.command(short_help="Make an int8 .tflite of a Keras model or of one of our checkpoints.")
@click.argument("source", type=_PATH, metavar="IN")
@click.argument("target", type=_PATH, metavar="OUT.tflite")
@click.option(
    "--calibration",
    type=_PATH,
    metavar="FILE|DIR",
    help="Arrays [samples, …] for a Keras model, recordings for our checkpoints. Without it: random inputs.",
)
def convert(source: Path, target: Path, calibration: Path | None) -> None:
    """Write OUT.tflite, int8 throughout, from IN: a .keras file, a SavedModel folder or a .npz of `stapes train`.

    Keras models go through TensorFlow's converter; a Sequential model of LSTM and Dense layers gets the fused LSTM
    operator, which that converter cannot write.
    """
    if not source.exists():
        raise UserError("there is no such file or folder", source, "check the path")
    with about(source):
        data, said = _converted(source, calibration)
    board = plan(data)
    write_file(target, data)
    if not calibration:
        messages.print(f"stapes: warning: {RANDOM_WARNING}", soft_wrap=True)
    for line in (*said, *summary(len(data), describe(data, board), board)):
        console.print(line, soft_wrap=True)


def _converted(source: Path, calibration: Path | None) -> tuple[bytes, list[str]]:
    if source.suffix.lower() == _CHECKPOINT:
        from ..convert.from_checkpoint import convert_checkpoint

        data, said = convert_checkpoint(source, list(_recordings(calibration)))
        return data, [said]
    if source.is_dir() or source.suffix.lower() in _KERAS:
        from ..convert.from_keras import convert_keras

        return convert_keras(source, calibration_files(calibration, ARRAYS)), []
    raise UserError("not a model that can be converted", source, "give a .keras file, a SavedModel folder or a .npz")


def _recordings(calibration: Path | None) -> Iterator[np.ndarray]:
    """Samples of recordings, or random features."""
    if calibration is None:
        yield from random_calibration(0)
        return
    for path in calibration_files(calibration, RECORDINGS):
        yield read_recording(path)
