"""A trained network in float arithmetic between the board's front end and search: what integers are held against."""

import functools
from pathlib import Path

import numpy as np
import stapes_spec as spec
from stapes.lattice import Lattice
from stapes.recognizer import Recognizer

from ..convert import checkpoint, forward
from ..convert.metadata import context_size
from ..errors import UserError
from ..kernels.features import features
from ..kernels.search import Search

SUFFIX = ".npz"
_MODEL = "model.tflite"
_ONE = 1 << spec.Q_LOG_PROB_FRACTION_BITS


class FloatRecognizer(Recognizer):
    """Recognises whole recordings with a checkpoint's float parameters.

    Front end, search and its settings, and the log-probabilities in Q5.10 that go into it are those of the
    model file beside the checkpoint, or in the folder above: a stage on the way to a model lies below it.

    Args:
        path: of a checkpoint (models/general/dense.npz).
        grammar, kernels, max_context: as the board's recogniser takes them.
    Raises:
        UserError: the checkpoint does not read, or there is no model file in either place.
        StapesError: as the board's recogniser.
    """

    def __init__(self, path: str, grammar, kernels=None, max_context=None):
        saved = checkpoint.load(Path(path))
        model = _model_of(Path(path))
        self._topology, self._parameters = saved.topology, saved.parameters
        self._labels = saved.parameters["predictor.table"].shape[0]
        self._context_size = context_size(model.read_bytes())
        super().__init__(str(model), grammar, kernels=kernels, max_context=max_context)

    def reset(self, utterance=0) -> None:
        """Forget what was heard."""
        super().reset(utterance)
        self._heard = [np.zeros(0, np.int16)]

    def accept_waveform(self, samples) -> None:
        """Hear int16 [n], 16 kHz."""
        self._heard.append(np.frombuffer(samples, np.int16))

    def input_finished(self) -> None:
        """Hear the silence that brings out the last words."""
        steps = max(self.model.flush_steps, spec.ENDPOINT_FLUSH_STEPS)
        self._heard.append(np.zeros(steps * spec.FRONTEND_STEP_SAMPLES, np.int16))

    def lattice(self, revision=0) -> Lattice:
        """Recognise all that was heard."""
        heard = features(np.concatenate(self._heard), np.frombuffer(self.model.prior, np.int16))
        search = Search(bytes(self.grammar.data), list(self._config), self._context_size)
        for row in self._encode(heard):
            _check(search.step(functools.partial(self._log_probs, row)))
        lattice = search.lattice(revision=revision)
        if isinstance(lattice, int):
            _check(lattice)
        return Lattice(lattice)

    def _encode(self, heard: np.ndarray) -> np.ndarray:
        """Encoder outputs, float32 [T, joint]; with branches the arbitrator chooses."""
        if self._topology.branching:
            return forward.encode_branching(self._topology, self._parameters, heard)[0]
        return forward.encode(self._topology, self._parameters, heard)

    def _log_probs(self, encoded: np.ndarray, context: int) -> np.ndarray:
        """int16 [units], Q5.10, after a context."""
        units = np.array([[(context >> (8 * age)) & 0xFF for age in reversed(range(self._labels))]])
        logits = forward.logits(self._parameters, encoded[None], forward.predict(self._parameters, units))[0]
        shifted = logits - logits.max()
        natural = shifted - np.log(np.exp(shifted).sum())
        return np.maximum(np.round(natural * _ONE), np.iinfo(np.int16).min).astype(np.int16)


def _model_of(path: Path) -> Path:
    """The model file that says how to search with a checkpoint. Raises UserError: there is none."""
    beside = path.resolve().with_name(_MODEL)
    above = beside.parents[1] / _MODEL
    if not (beside.is_file() or above.is_file()):
        raise UserError(
            "no such file; it says how to search", path.with_name(_MODEL), "train to the end, or use --export"
        )
    return beside if beside.is_file() else above


def _check(status: int) -> None:
    if status < 0:
        error, _, text, advice = spec.ERRORS[-status]
        raise UserError(f"{text} ({error})", advice=advice)
