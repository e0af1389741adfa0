"""What a model is run on when its weights are changed: recordings for ours, arrays or random inputs for others."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stapes_spec as spec

from stapes_tools.audio import read_recording
from stapes_tools.convert.branches import LIGHT
from stapes_tools.convert.execute import SubgraphRun, Values, free_inputs
from stapes_tools.convert.graph import Model, Subgraph, Tensor
from stapes_tools.convert.metadata import decode_metadata
from stapes_tools.convert.write import random_calibration
from stapes_tools.errors import UserError
from stapes_tools.kernels.features import features

Sequences = list[list[list[bytes]]]  # by sequence, step and free input
Traces = dict[int, list[list[Values]]]  # by subgraph, sequence and step

MOST_STEPS = 1000
RECORDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus")
ARRAYS = (".npy", ".npz")
_PARTS = ("encoder", "predictor", "joint")
_RANDOM_STEPS = 128
# Labels that the greedy search emits in one step at most.
_LABELS_PER_STEP = 4


def is_recogniser(model: Model) -> bool:
    """Whether a model is one of ours, with an encoder, a predictor and a joint."""
    return spec.MODEL_METADATA_NAME in model.metadata and {part.name for part in model.subgraphs} >= set(_PARTS)


class Network(ABC):
    """A model, its inputs, and what it makes of them."""

    def __init__(self, model: Model):
        self.model = model
        self.runs = {index: SubgraphRun(part) for index, part in enumerate(model.subgraphs)}

    @abstractmethod
    def inputs(self, index: int, traces: Traces) -> Sequences:
        """A subgraph's inputs, given the activations of those before it."""

    def sources(self, index: int) -> dict[int, int]:
        """Free inputs of a subgraph that are other subgraphs' results: {input: the subgraph}."""
        return {}

    def outputs(self, traces: Traces) -> list[np.ndarray]:
        """The results that count, float64 [n, size] for each."""
        return [
            dequantised(part.tensors[part.outputs[0]], [v[part.outputs[0]] for steps in traces[index] for v in steps])
            for index, part in enumerate(self.model.subgraphs)
        ]

    def trace(self, changed: Iterable[tuple[int, int]] = (), known: Traces | None = None) -> Traces:
        """Run it all, or what changed operators (subgraph, operator) reach."""
        changed, touched = set(changed), set()
        traces: Traces = {}
        for index, run in self.runs.items():
            own = {number for part, number in changed if part == index}
            if known is None:
                traces[index] = [run.sequence(steps) for steps in self.inputs(index, traces)]
                continue
            fed = [tensor for tensor, source in self.sources(index).items() if source in touched]
            rerun = run.reached(own, fed)
            if not rerun:
                traces[index] = known[index]
                continue
            touched.add(index)
            pairs = zip(self.inputs(index, traces), known[index], strict=True)
            traces[index] = [run.sequence(steps, old, rerun) for steps, old in pairs]
        return traces


def dequantised(tensor: Tensor, values: Sequence[bytes]) -> np.ndarray:
    """float64 [n, size]: values less the zero point, times the scale."""
    array = np.stack([np.frombuffer(one, tensor.dtype) for one in values]).astype(np.float64)
    if not tensor.scale:
        return array
    return (array - (tensor.zero_point or (0,))[0]) * tensor.scale[0]


class Plain(Network):
    """Subgraphs that do not know of each other."""

    def __init__(self, model: Model, given: dict[int, Sequences]):
        super().__init__(model)
        self._given = given

    def inputs(self, index: int, traces: Traces) -> Sequences:
        """What was given."""
        return self._given[index]


class Recogniser(Network):
    """One of our models: the joint sees the encoder's steps with the labels of the greedy path."""

    def __init__(self, model: Model, utterances: Sequence[np.ndarray]):
        """utterances: features, int8 [T, 120] each."""
        super().__init__(model)
        self._parts = {part.name: index for index, part in enumerate(model.subgraphs)}
        self._features = [[[row.tobytes()] for row in utterance] for utterance in utterances]
        encoded = [self.runs[self._parts["encoder"]].sequence(steps) for steps in self._features]
        output = self._part("encoder").outputs[0]
        paths = [list(self._path([values[output] for values in steps])) for steps in encoded]
        self._paths = [path for path in paths if path]
        if not self._paths:
            raise UserError("the calibration recordings are too short")

    def _part(self, name: str) -> Subgraph:
        return self.model.subgraphs[self._parts[name]]

    def _once(self, name: str, *inputs: bytes) -> bytes:
        (values,) = self.runs[self._parts[name]].sequence([inputs])
        return values[self._part(name).outputs[0]]

    def _path(self, encoded: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """(step, context) of every evaluation of the joint, the model as it is now."""
        size = self._part("predictor").tensors[self._part("predictor").inputs[0]].shape[0]
        context = [spec.MODEL_BLANK_UNIT] * size
        for step, row in enumerate(encoded):
            for _ in range(_LABELS_PER_STEP):
                labels = np.array(context, np.int32).tobytes()
                yield step, labels
                unit = int(np.argmax(np.frombuffer(self._once("joint", row, self._once("predictor", labels)), np.int8)))
                if unit == spec.MODEL_BLANK_UNIT:
                    break
                context = [*context[1:], unit]

    def inputs(self, index: int, traces: Traces) -> Sequences:
        """Features, labels, or what encoder and predictor made of them."""
        name = self.model.subgraphs[index].name
        if name == "encoder":
            return self._features
        if name == "predictor":
            return [[[labels] for _, labels in path] for path in self._paths]
        encoded, predicted = (
            [[values[self._part(part).outputs[0]] for values in steps] for steps in traces[self._parts[part]]]
            for part in ("encoder", "predictor")
        )
        return [
            [[rows[step], labels] for (step, _), labels in zip(path, others, strict=True)]
            for rows, path, others in zip(encoded, self._paths, predicted, strict=True)
        ]

    def sources(self, index: int) -> dict[int, int]:
        """The joint's."""
        part = self.model.subgraphs[index]
        if part.name != "joint":
            return {}
        return {part.inputs[0]: self._parts["encoder"], part.inputs[1]: self._parts["predictor"]}

    def outputs(self, traces: Traces) -> list[np.ndarray]:
        """Logits, less their mean: the softmax takes no notice of that."""
        part = self._part("joint")
        rows = [values[part.outputs[0]] for steps in traces[self._parts["joint"]] for values in steps]
        logits = dequantised(part.tensors[part.outputs[0]], rows)
        return [logits - logits.mean(axis=1, keepdims=True)]


@dataclass(frozen=True)
class Chosen:
    """A network with its inputs, what they are, and a warning where nobody gave any."""

    network: Network
    text: str
    warning: str = ""


def choose(data: bytes, model: Model, source: Path | None, seed: int = 0) -> Chosen:
    """The inputs to run a model on.

    Args:
        data, model: the file and what it holds.
        source: a recording or a folder of them for one of our models; else a .npy or .npz file or a folder of them.
            None: random inputs.
        seed: of these.
    Raises:
        UserError: nothing usable there, or a model with branches.
    """
    if any(part.name == LIGHT for part in model.subgraphs):
        what = "the model has branches, and what the light one may lose is settled while the arbitrator is trained"
        raise UserError(what, advice="set light_zeros in the recipe's [branches]; see docs/training.md")
    files = calibration_files(source, RECORDINGS if is_recogniser(model) else ARRAYS)
    if is_recogniser(model):
        return _recogniser(data, model, files, seed)
    if files and len(model.subgraphs) > 1:
        raise UserError("the model has {} subgraphs: which one are arrays for?".format(len(model.subgraphs)), source)
    if files:
        given = list(_limited(_read_arrays(path, model.subgraphs[0]) for path in files))
        text = "{} steps of {} files".format(sum(map(len, given)), len(given))
        return Chosen(Plain(model, {0: given}), text)
    rng = np.random.default_rng(seed)
    plain = Plain(model, {index: _random(part, rng) for index, part in enumerate(model.subgraphs)})
    return Chosen(plain, "{} random inputs".format(_RANDOM_STEPS), _RANDOM_WARNING)


_RANDOM_WARNING = "no calibration set: random inputs tell little of what the model will meet; give --calibration"


def _recogniser(data: bytes, model: Model, files: Sequence[Path], seed: int) -> Chosen:
    if not files:
        return Chosen(Recogniser(model, random_calibration(seed)), "random features", _RANDOM_WARNING)
    prior = np.array(decode_metadata(data).prior, np.int16)
    utterances = [rows for rows in _limited(features(read_recording(path), prior) for path in files) if len(rows)]
    steps = sum(map(len, utterances))
    text = "{} steps, {:.0f} s, of {} recordings".format(steps, steps * 0.03, len(utterances))
    return Chosen(Recogniser(model, utterances), text)


def _limited(sequences: Iterable) -> Iterator:
    """The first MOST_STEPS steps."""
    left = MOST_STEPS
    for one in sequences:
        yield one[:left]
        left -= len(one[:left])
        if left <= 0:
            return


def calibration_files(source: Path | None, endings: Sequence[str]) -> list[Path]:
    """The file, or the folder's files with one of these endings, in order; none of None.

    Raises:
        UserError: there are none.
    """
    if source is None:
        return []
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() in endings)
        if not found:
            raise UserError("no calibration files there", source, "they end in " + ", ".join(endings))
        return found
    if not source.exists():
        raise UserError("there is no such file or folder", source, "check --calibration")
    if source.suffix.lower() not in endings:
        raise UserError("no calibration file for this model", source, "it must end in " + ", ".join(endings))
    return [source]


def _read_arrays(path: Path, part: Subgraph) -> list[list[bytes]]:
    """Steps of one file: one array for a model with one input, arrays by the inputs' names for others."""
    tensors = [part.tensors[index] for index in free_inputs(part)]
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError(
            "not an array of numbers, or damaged", path, "write it with numpy.save or numpy.savez"
        ) from None
    if isinstance(loaded, np.ndarray):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise UserError("one array for {} inputs".format(len(tensors)), path, "give a .npz with " + names)
        arrays = [loaded]
    else:
        missing = [tensor.name for tensor in tensors if tensor.name not in loaded.files]
        if missing:
            raise UserError("no array for the input " + missing[0], path, "name arrays as the model's inputs")
        arrays = [loaded[tensor.name] for tensor in tensors]
    columns = [_as_input(array, tensor, path) for array, tensor in zip(arrays, tensors, strict=True)]
    if len({len(column) for column in columns}) != 1 or not columns[0]:
        raise UserError("empty, or arrays of different lengths", path, "give as many rows for every input")
    return [list(step) for step in zip(*columns, strict=True)]


def _as_input(array: np.ndarray, tensor: Tensor, path: Path) -> list[bytes]:
    """Values of an input: [n, *shape], or [n, *shape[1:]] for a batch of one; floats are quantised."""
    shape = tensor.shape
    if array.shape[1:] not in (shape, shape[1:] if shape[:1] == (1,) else shape):
        what = "shape {}, but {} has {}".format(list(array.shape), tensor.name, list(shape))
        raise UserError(what, path, "put the samples first: [n, {}]".format(", ".join(map(str, shape[1:]))))
    if array.dtype.kind == "f" and tensor.dtype != array.dtype.name and tensor.scale:
        low, high = np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max
        array = np.clip(np.rint(array / tensor.scale[0]) + tensor.zero_point[0], low, high).astype(tensor.dtype)
    if array.dtype.name != tensor.dtype:
        what = "values are {}, but {} is {}".format(array.dtype.name, tensor.name, tensor.dtype)
        raise UserError(what, path, "give floats or the input's own type")
    return [row.tobytes() for row in array]


def _random(part: Subgraph, rng: np.random.Generator) -> Sequences:
    """Steps of random values, any that the input's type has."""
    steps: list[list[bytes]] = []
    for _ in range(_RANDOM_STEPS):
        inputs = []
        for tensor in (part.tensors[index] for index in free_inputs(part)):
            if tensor.dtype == "float32":
                inputs.append(rng.uniform(-1.0, 1.0, tensor.shape).astype(np.float32).tobytes())
            elif tensor.dtype in ("int8", "uint8", "int16"):
                info = np.iinfo(tensor.dtype)
                inputs.append(rng.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype).tobytes())
            else:
                what = "the input {} is {}: its range is not known".format(tensor.name, tensor.dtype)
                raise UserError(what, advice="give --calibration")
        steps.append(inputs)
    return [steps]
