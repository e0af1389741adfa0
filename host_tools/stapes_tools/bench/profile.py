"""What each stage of recognition costs on the emulated board: sampled functions, summed by stage."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import stapes_spec as spec
from stapes.link.frame import FRAME, FrameParser

from ..device.emulator import Samples

# By a kernel method among the callers: what the board's Python asked for.
_METHODS = {
    "gc_collect": "garbage collection",
    "stk_audio_apply": "microphone",
    "stk_pdm_apply": "microphone",
    "stk_frontend_apply": "front end",
    "stk_model_invoke": "encoder",
    "stk_encoder_step": "encoder",
    "stk_decoder_step": "search",
    "stk_decoder_status": "status, partial words",
    "stk_decoder_partial": "status, partial words",
    "stk_recognizer_step": "status, partial words",  # but for what it calls of the above
    "stk_decoder_lattice": "lattice",
    "stk_endpoint_step": "end-pointers",
    "stk_endpoint_init": "start of an utterance",
    "stk_decoder_restart": "start of an utterance",
    "stk_decoder_init": "start of an utterance",
    "stk_frontend_init": "start of an utterance",
    "stk_model_reset": "start of an utterance",
    "score": "joint",  # in st_decoder.c: what the search asks for
}
# Told by the function itself: an old word of the stack may name other callers long after.
_MICROPHONE = {
    "st_audio_apply",
    "st_audio_run",
    "st_audio_run_naive",
    "stk_ring_look",
    "stk_ring_hear",
    "st_ring_is_sound",
    "st_ring_look",
    "st_ring_missing_ms",
    "st_ring_take",
}
_LOG_SOFTMAX = "st_log_softmax"
# Inside the encoder: the function itself or its nearest caller says which operator it is.
_OPERATORS = {
    "st_zero_skip_sums4": "matrices",
    "st_zero_skip_sums8": "matrices",
    "st_zero_skip_lift": "matrices",
    "begin_chunk": "matrices",
    "take": "matrices",
    "st_zero_skip_fetched": "matrices",
    "paired_rows": "matrices",
    "fetched_rows": "matrices",
    "finish_layer": "requantisation",
    "finish_meanwhile": "requantisation",
    "st_lead_find": "flash",
    "fetch_lead": "flash",
    "st_fetch_start": "flash",
    "st_fetch_wait": "flash",
    "set_up": "flash",
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
        steps: cycles of each step: recognition, Python and link, if there was one.
        parts: of each step, cycles by stage, the most expensive first.
    """

    stages: dict[str, int]
    steps: list[int]
    parts: list[dict[str, int]]

    @property
    def worst(self) -> int:
        """Index of the most expensive step; -1 without steps."""
        return max(range(len(self.steps)), key=self.steps.__getitem__, default=-1)

    @property
    def worst_step(self) -> int:
        """Cycles of the most expensive step; 0 without steps."""
        return max(self.steps, default=0)

    @property
    def step_99th(self) -> int:
        """Cycles that 99 of 100 steps do not exceed."""
        ordered = sorted(self.steps)
        return ordered[-1 - len(ordered) // 100] if ordered else 0


def link_profile(samples: Samples) -> Profile:
    """Sum samples by stage; steps are what lies between acknowledgements of audio."""
    steps = step_spans(samples.sent)
    ends = [samples.began + cycles for cycles in accumulate(samples.cycles)]
    return Profile(
        _stages(samples, range(len(ends))),
        [end - begin for begin, end in steps],
        [_stages(samples, _between(ends, *span)) for span in steps],
    )


def profile(samples: Samples, span: tuple[int, int], steps: Sequence[tuple[int, int]], clock_mhz: int) -> Profile:
    """Sum samples by stage.

    Args:
        samples: of an utterance.
        span: its begin and end by the board's time, in microseconds.
        steps: begin and end of each step by the board's time, in microseconds.
        clock_mhz: of the core.
    """
    return Profile(
        _stages(samples, _between(samples.us, *span)),
        [clock_mhz * (end - begin) for begin, end in steps],
        [_stages(samples, _between(samples.us, *span)) for span in steps],
    )


def _between(times: Sequence[int], begin: int, end: int) -> range:
    """Indices of the ascending times in begin < time <= end."""
    return range(bisect_right(times, begin), bisect_right(times, end))


def _stages(samples: Samples, chosen: range) -> dict[str, int]:
    """Cycles of chosen samples by stage, the most expensive first."""
    names = [stage_of(place) for place in samples.places]
    stages: dict[str, int] = {}
    for k in chosen:
        stage = names[samples.place[k]]
        stages[stage] = stages.get(stage, 0) + samples.cycles[k]
    return dict(sorted(stages.items(), key=lambda item: -item[1]))


def stage_of(place: Sequence[str]) -> str:
    """The stage of one place: a function, then its callers of WANTED, innermost first."""
    if _LINK.match(place[0]):
        return "link"
    if place[0] in _MICROPHONE:
        return "microphone"
    method = next((_METHODS[name] for name in place if name in _METHODS), _PYTHON)
    if _LOG_SOFTMAX in place and method == "joint":
        return "log-softmax"
    if method == "encoder":
        operator = next((_OPERATORS[name] for name in place if name in _OPERATORS), "interpreter")
        return f"encoder: {operator}"
    return method


def step_spans(sent: Sequence[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """Begin and end of each step in cycles, by the board's acknowledgements: of audio that it has recognised.

    A command's comes with its reply, and no step ends there. The recording's last samples may be less than a step, and
    count as one.

    Args:
        sent: what the board sent and when, in cycles.
    """
    steps: list[tuple[int, int]] = []
    began = reached = 0
    for cycles, kind, ack in _frames(sent):
        if ack <= reached:
            continue
        if reached and ack == reached + 1 and kind != spec.FRAME_TYPE_REPLY:
            steps.append((began, cycles))
        began, reached = cycles, ack
    return steps


def _frames(sent: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, int, int]]:
    """(cycles, type, number expected next) of the frames that the board sent."""
    parser = FrameParser()
    for cycles, data in sent:
        view = memoryview(data)
        while view:
            view = view[parser.put(view) :]
            while found := parser.take():
                if found == FRAME:
                    yield cycles, parser.kind, parser.ack


def per_second(stages: Mapping[str, int], audio_ms: int) -> dict[str, int]:
    """The same per second of audio."""
    return {stage: round(cycles / audio_ms * 1000) for stage, cycles in stages.items()}
