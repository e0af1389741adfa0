"""Keras files and SavedModel folders as int8 models, by TensorFlow's converter.

TensorFlow's converter cannot quantise a Keras 3 LSTM: sequences of LSTM and Dense layers go through keras_lstm.py.
"""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from stapes_tools.errors import TRAIN_TOOLS, UserError

_RANDOM_SAMPLES = 64
_MOST_SAMPLES = 512

_Shapes = dict[str, tuple[int | None, ...]]  # by input, the batch first

RANDOM_WARNING = "no calibration data: ranges of activations come from random inputs; give --calibration"


def check_tensorflow() -> None:
    """Say what to do where TensorFlow is not installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("tensorflow") is None:
        what = "converting a Keras model needs TensorFlow, which is not installed"
        raise UserError(what, advice=f"run `{TRAIN_TOOLS}`")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """TensorFlow's converter, its C++ parts too, speaks at length on both streams."""
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        try:
            yield
        finally:
            for stream, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, stream)
                os.close(copy)


def _one_line(error: Exception) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]


def _load(path: Path) -> Any:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _quietly():
        import keras

        try:
            return keras.models.load_model(path, compile=False)
        except Exception as error:
            raise UserError(f"not a Keras model, or damaged ({_one_line(error)})", path, "save it again") from None


def convert_keras(path: Path, calibration: Sequence[Path]) -> bytes:
    """Convert a .keras file or a SavedModel folder to int8, inputs and outputs included.

    Args:
        path: of the model.
        calibration: .npy files [samples, ...] of a model with one input, .npz files by input's name; none: random.
    Raises:
        UserError: TensorFlow is not installed, the model cannot be read or converted, or the data do not fit.
    """
    check_tensorflow()
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise UserError("no SavedModel in this folder (saved_model.pb is missing)", path, "check the path")
        return _converted_folder(path, calibration, path)
    model = _load(path)
    from stapes_tools.convert import keras_lstm

    if keras_lstm.has_lstm(model):
        keras_lstm.check(model)
        shapes = {tensor.name.split(":")[0]: tuple(tensor.shape) for tensor in model.inputs}
        return keras_lstm.convert(model, _samples(calibration, shapes, path)[0])
    with tempfile.TemporaryDirectory() as folder:
        with _quietly():
            try:
                model.export(folder)
            except Exception as error:
                raise UserError(f"Keras does not export it ({_one_line(error)})", path, "save a SavedModel") from None
        return _converted_folder(Path(folder), calibration, path)


def _converted_folder(folder: Path, calibration: Sequence[Path], path: Path) -> bytes:
    """Convert a SavedModel; path: what the user calls it."""
    with _quietly():
        import tensorflow as tf

        try:
            loaded = tf.saved_model.load(str(folder))
            signature = loaded.signatures["serving_default"]
        except Exception as error:
            raise UserError(f"not a SavedModel, or damaged ({_one_line(error)})", path, "save it again") from None
        named = signature.structured_input_signature[1]
    shapes = {name: tuple(spec.shape) for name, spec in sorted(named.items())}

    def call(*values: Any) -> Any:
        return list(signature(**dict(zip(shapes, values, strict=True))).values())

    return _converted(call, loaded, shapes, _samples(calibration, shapes, path), path)


def _converted(call: Any, owner: Any, shapes: _Shapes, samples: Sequence[np.ndarray], path: Path) -> bytes:
    """Run TensorFlow's converter on a function of a batch of one: an open batch would leave operators that compute it.

    Args:
        call: the function; owner: of its variables.
        samples: [n, 1, ...] by input.
    """

    def representative() -> Iterator[list[np.ndarray]]:
        for rows in zip(*samples, strict=True):
            yield list(rows)

    with _quietly():
        import tensorflow as tf

        specs = [tf.TensorSpec([1, *shape[1:]], tf.float32, name=name) for name, shape in shapes.items()]
        try:
            function = tf.function(call).get_concrete_function(*specs)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = representative
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
            return bytes(converter.convert())
        except Exception as error:
            reason = _one_line(error)
    raise UserError(f"TensorFlow's converter refuses it ({reason})", path, "use layers that it can quantise")


def _samples(files: Sequence[Path], shapes: _Shapes, path: Path) -> list[np.ndarray]:
    """By input, float32 [n, 1, ...]."""
    for name, shape in shapes.items():
        if None in shape[1:]:
            what = "the input {} has an open shape: {}".format(name, list(shape[1:]))
            raise UserError(what, path, "build the model with fixed sizes")
    if not files:
        rng = np.random.default_rng(0)
        sizes = [tuple(size or 1 for size in shape[1:]) for shape in shapes.values()]
        return [rng.normal(size=(_RANDOM_SAMPLES, 1, *size)).astype(np.float32) for size in sizes]
    found = [_read(file, shapes) for file in files]
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    spread = np.linspace(0, len(columns[0]) - 1, min(len(columns[0]), _MOST_SAMPLES)).astype(int)
    return [column[spread][:, None] for column in columns]


def _read(file: Path, shapes: _Shapes) -> list[np.ndarray]:
    try:
        loaded = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError("no array of numbers, or damaged", file, "write it with numpy.save or savez") from None
    if isinstance(loaded, np.ndarray):
        arrays = [loaded]
    else:
        missing = [name for name in shapes if name not in loaded.files]
        if missing:
            raise UserError("no array for the input " + missing[0], file, "name arrays as the model's inputs")
        arrays = [loaded[name] for name in shapes]
    if len(arrays) != len(shapes):
        raise UserError(f"one array for {len(shapes)} inputs", file, "give a .npz with " + ", ".join(shapes))
    for array, (name, shape) in zip(arrays, shapes.items(), strict=True):
        if array.shape[1:] != shape[1:] or not len(array) or array.dtype.kind not in "fiu":
            what = f"{array.dtype.name} {list(array.shape)} does not fit the input {name}"
            raise UserError(what, file, "give numbers [samples, {}]".format(", ".join(map(str, shape[1:]))))
    return [array.astype(np.float32) for array in arrays]
