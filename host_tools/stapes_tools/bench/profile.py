"""What each stage of recognition costs on the emulated board: sampled functions, summed by stage."""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import stapes_spec as spec

from ..device.emulator import Samples
from ..device.link import decode_frame

# By a kernel method among the callers: what the board's Python asked for.
_METHODS = {
    "stk_frontend_apply": "front end",
    "stk_model_invoke": "encoder",
    "stk_encoder_step": "encoder",
    "stk_decoder_step": "search",
    "stk_decoder_status": "status, partial words",
    "stk_decoder_partial": "status, partial words",
    "stk_decoder_lattice": "lattice",
    "stk_decoder_init": "start of an utterance",
    "stk_frontend_init": "start of an utterance",
    "stk_model_reset": "start of an utterance",
    "score": "joint",  # in st_decoder.c: what the search asks for
}
_LOG_SOFTMAX = "st_log_softmax"
# Inside the encoder: the function itself or its nearest caller says which operator it is.
_OPERATORS = {
    "st_zero_skip_sums4": "matrices",
    "st_zero_skip_sums8": "matrices",
    "st_zero_skip_lift": "matrices",
    "st_dense_rows": "matrices",
    "st_dense_int4_rows": "matrices",
    "st_dense_finish_rows": "requantisation",
    "st_dense_finish_loop": "requantisation",
    "st_dense_finish_naive": "requantisation",
    "depthwise_tap": "depthwise",
    "st_depthwise_sums": "depthwise",
    "st_op_invoke_conv": "convolution, the rest",
    "st_op_invoke_elementwise": "ADD, MUL",
    "st_add_run": "ADD, MUL",
    "st_add_one": "ADD, MUL",
    "st_add_naive": "ADD, MUL",
    "mul_run": "ADD, MUL",
    "st_op_invoke_concatenation": "CONCATENATION",
    "st_op_invoke_strided_slice": "STRIDED_SLICE",
    "st_op_invoke_lstm": "LSTM",
    "st_op_invoke_svdf": "SVDF",
    "st_op_invoke_lookup": "tables",
}
_LINK = re.compile(
    r"^(tud_|tusb_|_?tu_|dcd_|usbd_|cdcd_|_?hw_endpoint|_prep_|mp_usbd|mp_hal_std|mp_hal_poll|stdio|mutex_|uzlib_crc)"
)
_PYTHON = "MicroPython"
WANTED = (*_METHODS, _LOG_SOFTMAX, *_OPERATORS)


@dataclass(frozen=True)
class Profile:
    """Where an utterance's cycles went.

    Attributes:
        stages: cycles by stage, the most expensive first.
        steps: cycles of each step, from one credit to the next: recognition, Python and link.
    """

    stages: dict[str, int]
    steps: list[int]

    @property
    def worst_step(self) -> int:
        """Cycles of the most expensive step; 0 without steps."""
        return max(self.steps, default=0)

    @property
    def step_99th(self) -> int:
        """Cycles that 99 of 100 steps do not exceed."""
        ordered = sorted(self.steps)
        return ordered[-1 - len(ordered) // 100] if ordered else 0


def profile_of(samples: Samples) -> Profile:
    """Sum samples by stage."""
    stages: dict[str, int] = {}
    for place, cycles in samples.spent.items():
        stage = stage_of(place)
        stages[stage] = stages.get(stage, 0) + cycles
    ordered = dict(sorted(stages.items(), key=lambda item: -item[1]))
    return Profile(ordered, step_cycles(samples.sent))


def stage_of(place: Sequence[str]) -> str:
    """The stage of one place: a function, then its callers of WANTED, innermost first."""
    if _LINK.match(place[0]):
        return "link"
    method = next((_METHODS[name] for name in place if name in _METHODS), _PYTHON)
    if _LOG_SOFTMAX in place and method == "joint":
        return "log-softmax"
    if method == "encoder":
        operator = next((_OPERATORS[name] for name in place if name in _OPERATORS), "interpreter")
        return f"encoder: {operator}"
    return method


def step_cycles(sent: Sequence[tuple[int, bytes]]) -> list[int]:
    """Cycles between the board's credits, of which each step of audio brings one.

    Args:
        sent: what the board sent and when, in cycles.
    """
    pending = b""
    times: list[int] = []
    counted: list[int] = []
    for cycles, data in sent:
        *frames, pending = (pending + data).split(b"\0")
        for frame in map(decode_frame, filter(None, frames)):
            if frame.kind == spec.FRAME_TYPE_CREDIT:
                times.append(cycles)
                counted.append(struct.unpack_from("<I", frame.payload)[0])
    return [
        after - before
        for before, after, first, last in zip(times, times[1:], counted, counted[1:], strict=False)
        if last - first == spec.FRONTEND_STEP_SAMPLES
    ]


def per_second(stages: Mapping[str, int], audio_ms: int) -> dict[str, int]:
    """The same per second of audio."""
    return {stage: round(cycles / audio_ms * 1000) for stage, cycles in stages.items()}
