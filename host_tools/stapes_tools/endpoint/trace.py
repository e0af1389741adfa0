"""What the end-pointers see, step by step: recordings through the board package on the host's kernels."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import stapes_spec as spec
from stapes.errors import StapesError as PackageError
from stapes.errors import check
from stapes.recognizer import Recognizer

from .. import kernels
from ..convert.metadata import EndpointSettings
from ..device.client import board_fault

STEP = spec.FRONTEND_STEP_SAMPLES
_FIRST = spec.FRONTEND_FRAME_LENGTH + (spec.FRONTEND_STACK - 1) * spec.FRONTEND_FRAME_SHIFT
_SAMPLES_PER_MS = spec.AUDIO_SAMPLE_RATE_HZ // 1000


def step_ms(steps: np.ndarray) -> np.ndarray:
    """When the audio of step k is complete, ms from the first sample, if there is no delay in computing."""
    return (STEP * np.asarray(steps) + _FIRST) // _SAMPLES_PER_MS


@dataclass(frozen=True)
class Trace:
    """One recording's steps.

    Attributes:
        encoded: int8 [steps, joint], the encoder's output.
        features: int8 [steps, 120], its input.
        search: int8 [steps, 10], endpoint_feature of the specification.
        units, blanks, words: int32 [steps] each, of the best hypothesis.
        logits: int8 [steps], of the net; -128 without one.
        verdicts: int8 [steps], of the rule that was watched.
        loud: int32 [steps], loud steps so far.
        text: what was understood in the end.
        doubt: of that, see stapes.lattice.Lattice.
    """

    encoded: np.ndarray
    features: np.ndarray
    search: np.ndarray
    units: np.ndarray
    blanks: np.ndarray
    words: np.ndarray
    logits: np.ndarray
    verdicts: np.ndarray
    loud: np.ndarray
    text: str = ""
    doubt: float = 0.0


class Pointer:
    """One end-pointer beside a recogniser; several may watch the same.

    Args:
        recognizer: whose steps.
        rule: of stapes_spec's ENDPOINT_RULE_….
        settings: thresholds.
    """

    def __init__(self, recognizer: Recognizer, rule: int, settings: EndpointSettings):
        self._recognizer = recognizer
        self._kernels = kernels.install()
        self._config = array("i", settings.config(rule))
        self._state = bytearray(self._kernels.endpoint_size())
        self.status = array("i", [0] * spec.ENDPOINT_STATUS_INDEX_COUNT)

    def restart(self) -> None:
        """An utterance begins."""
        model = self._recognizer.model
        check(self._kernels.endpoint_init(self._state, model.state, model.data, self._config), model.where)

    def step(self) -> int:
        """The verdict on the step that the recogniser has just made; brings status up to date."""
        one = self._recognizer
        verdict = self._kernels.endpoint_step(
            self._state, one.decoder, one.model.state, one.model.data, one.grammar.data
        )
        check(self._kernels.endpoint_status(self._state, self.status))
        return check(verdict, one.model.where)


class Tracer:
    """A recogniser whose steps are kept.

    Args:
        model: a .tflite file's bytes.
        graph: a compiled grammar's.
        rule, settings: the end-pointer that is watched.
    Raises:
        UserError, BoardError: a file is refused.
    """

    def __init__(
        self,
        model: bytes,
        graph: bytes,
        rule: int = spec.ENDPOINT_RULE_ENERGY,
        settings: EndpointSettings | None = None,
    ):
        try:
            self._recognizer = Recognizer(model, graph, kernels=kernels.install())
        except PackageError as error:
            raise board_fault(error.code, error.where or "model", error.detail) from None
        self._pointer = Pointer(self._recognizer, rule, settings or EndpointSettings())
        state, data, native = self._recognizer.model.state, self._recognizer.model.data, kernels.install()
        joint = check(native.model_subgraph(state, data, b"joint"))
        begin = check(native.model_tensor(state, data, joint, 0, 0))
        size = check(native.model_tensor_size(state, data, joint, 0, 0))
        self._encoded = memoryview(state)[begin : begin + size]

    def trace(self, samples: np.ndarray) -> Trace:
        """Hear int16 [n], 16 kHz, as one utterance."""
        one, pointer = self._recognizer, self._pointer
        one.reset()
        pointer.restart()
        rows: list[tuple] = []
        heard = array("h", samples.astype("=i2").tobytes())
        for begin in range(0, len(heard), STEP):
            if one.accept_chunk(heard[begin : begin + STEP]):
                verdict = pointer.step()
                rows.append(self._row(verdict, list(pointer.status)))
        columns = list(zip(*rows, strict=True)) if rows else [()] * 9
        units, blanks, words, loud = (np.array(columns[k], np.int32) for k in (3, 4, 5, 8))
        logits, verdicts = (np.array(columns[k], np.int8) for k in (6, 7))
        search = np.array(columns[2], np.int8).reshape(len(rows), -1)
        encoded, features, lattice = _bytes(columns[0]), _bytes(columns[1]), one.lattice()
        return Trace(
            encoded, features, search, units, blanks, words, logits, verdicts, loud, lattice.text, lattice.doubt
        )

    def _row(self, verdict: int, figures: list[int]) -> tuple:
        one, status = self._recognizer, self._recognizer.status
        at = spec.ENDPOINT_STATUS_INDEX_FEATURES
        return (
            bytes(self._encoded),
            bytes(one.model.features),
            figures[at : at + spec.ENDPOINT_SEARCH_FEATURES],
            status[spec.STATUS_INDEX_UNITS_EMITTED],
            status[spec.STATUS_INDEX_TRAILING_BLANKS],
            one.partial_count(),
            figures[spec.ENDPOINT_STATUS_INDEX_LOGIT],
            verdict,
            figures[spec.ENDPOINT_STATUS_INDEX_LOUD_STEPS],
        )


def _bytes(rows: Iterable[bytes]) -> np.ndarray:
    rows = list(rows)
    return np.frombuffer(b"".join(rows), np.int8).reshape(len(rows), -1)
