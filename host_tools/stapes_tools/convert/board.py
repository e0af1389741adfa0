"""What the board makes of a model: which operators it refuses and why, and where everything lies in its memory.

The C kernels, built for this computer, decide; the planner's Python twin tells where each result goes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import stapes_spec as spec
from stapes_reference import model as twin
from stapes_reference import ops
from stapes_reference.plan import REF_ARENA, REF_REGION, Plan

from stapes_tools import kernels
from stapes_tools.convert.branches import check_branches
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Model, Operator, Subgraph, Tensor, element_bits
from stapes_tools.convert.metadata import Metadata, encode_metadata, seal
from stapes_tools.convert.read import read_model
from stapes_tools.errors import UserError

_ARENA, _STATE = "arena", "state"
_UNKNOWN = ("unknown", "CUSTOM ")  # newer than the schema; without a name


@dataclass(frozen=True)
class Place:
    """Where an operator's result is while the model runs.

    memory: "arena", shared by activations that are not needed at one time, or "state", which stays from one
    invocation to the next and holds inputs and outputs, too. offset: bytes from the start of it.
    """

    memory: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Refusal:
    """Why the board refuses a file or an operator: the specification's error, and what it is about."""

    error: str
    text: str
    detail: str

    def __str__(self) -> str:
        return "{} ({})".format(self.text, self.detail) if self.detail else self.text


@dataclass(frozen=True)
class BoardPlan:
    """A model in the board's memory.

    refusal: of the whole file, None when it runs; operators: refusals by (subgraph, operator). What follows is 0 or
    empty for a file with a refused operator. total_bytes: of RAM, plan, multipliers and alignment included;
    arena_bytes: planned once at load; state_bytes: recurrent states, inputs and outputs; places: of results, by
    (subgraph, operator).
    """

    refusal: Refusal | None
    operators: dict[tuple[int, int], Refusal]
    total_bytes: int
    arena_bytes: int
    state_bytes: int
    places: dict[tuple[int, int], Place]


class _Recorder(Plan):
    """A plan that notes where results go and what slots take."""

    def __init__(self, fb, info):
        super().__init__(fb, None, info, ops.prepare)
        self.places: dict[tuple[int, int], Place] = {}
        self.slot_bytes = 0

    def result(self):
        tensor, reference = super().result()
        memory = _ARENA if reference & REF_REGION == REF_ARENA else _STATE
        offset = reference & ~REF_REGION
        self.places[self.info[spec.INFO_INDEX_SUBGRAPH], self.index] = Place(memory, offset, tensor.bytes)
        return tensor, reference

    def _write_slot(self, number, tensor, offset, source):
        # Outputs after the first lie in the inputs that they become, the second encoder's slots in the first's.
        if number <= len(self.inputs) and not self.is_second:
            self.slot_bytes += tensor.bytes
        super()._write_slot(number, tensor, offset, source)


def with_metadata(model: Model) -> bytes:
    """The file of a model, with a metadata entry where it has none: the kernels refuse a file without."""
    name = spec.MODEL_METADATA_NAME
    if len(model.metadata.get(name, b"")) >= spec.METADATA_BYTES:
        return seal(serialise(model))
    entry = encode_metadata(Metadata(("<blank>", "a")), 1)
    return seal(serialise(replace(model, metadata={**model.metadata, name: entry})))


def activations(subgraph: Subgraph, operator: Operator) -> list[int]:
    """The operator's inputs that other operators, or callers, write; each once."""
    written = set(subgraph.inputs).union(*(other.outputs for other in subgraph.operators))
    return list(dict.fromkeys(index for index in operator.inputs if index in written))


def alone(subgraph: Subgraph, operator: Operator) -> Model:
    """A model of one operator; its inputs are the operator's activations, its outputs all of its results."""
    used = [k for k in (*operator.inputs, *operator.outputs, *operator.intermediates) if k >= 0]
    places = {old: new for new, old in enumerate(dict.fromkeys(used))} | {-1: -1}
    copy = replace(
        operator,
        inputs=[places[k] for k in operator.inputs],
        outputs=[places[k] for k in operator.outputs],
        intermediates=[places[k] for k in operator.intermediates],
    )
    tensors = [subgraph.tensors[k] for k in dict.fromkeys(used)]
    part = Subgraph("alone", tensors, [copy])
    part.inputs = [places[k] for k in activations(subgraph, operator)]
    part.outputs = list(copy.outputs)
    return Model([part])


def refusal(data: bytes) -> Refusal | None:
    """Why the board's interpreter refuses a file, or None when it runs."""
    info = np.zeros(spec.INFO_INDEX_COUNT, np.int32)
    status = kernels.model_size(data, info)
    return _explained(data, -status, info) if status < 0 else None


def _explained(data: bytes, code: int, info: np.ndarray) -> Refusal:
    name, _, text, _ = spec.ERRORS[code]
    index, number, detail = (
        int(info[k]) for k in (spec.INFO_INDEX_SUBGRAPH, spec.INFO_INDEX_OPERATOR, spec.INFO_INDEX_DETAIL)
    )
    if name == "model_branches":
        return Refusal(name, text, _disagreement(data))
    if index < 0 or name not in ("model_op", "model_type", "model_memory"):
        return Refusal(name, text, "")
    part = read_model(data).subgraphs[index]
    kind = part.operators[number].kind if 0 <= number < len(part.operators) else ""
    if name == "model_type" and 0 <= detail < len(part.tensors):
        tensor = part.tensors[detail]
        return Refusal(name, text, "{} {}: {} {}".format(kind, tensor.name, tensor.dtype, list(tensor.shape)).strip())
    return Refusal(name, text, kind)


def _disagreement(data: bytes) -> str:
    """How the branches differ, with both values."""
    try:
        check_branches(read_model(data).subgraphs)
    except UserError as error:
        return error.what
    return ""


def _operator_refusals(model: Model) -> Iterator[tuple[tuple[int, int], Refusal]]:
    for index, part in enumerate(model.subgraphs):
        for number, operator in enumerate(part.operators):
            found = operator_refusal(part, operator)
            if found:
                yield (index, number), found


def operator_refusal(subgraph: Subgraph, operator: Operator) -> Refusal | None:
    """Why the board's interpreter refuses one operator, or None when it runs it."""
    if operator.kind in _UNKNOWN:
        return Refusal("model_op", _text("model_op"), "an operator that these tools do not know")
    for index in (*operator.inputs, *operator.outputs, *operator.intermediates):
        tensor = subgraph.tensors[index] if index >= 0 else None
        if tensor and not _is_copied(tensor):
            detail = "{} {}: {} {}".format(operator.kind, tensor.name, tensor.dtype, list(tensor.shape))
            return Refusal("model_type", _text("model_type"), detail)
    return refusal(with_metadata(alone(subgraph, operator)))


def _is_copied(tensor: Tensor) -> bool:
    return element_bits(tensor.dtype) > 0 and not tensor.sparse


def _is_copyable(model: Model) -> bool:
    return all(
        all(map(_is_copied, part.tensors)) and not any(operator.kind in _UNKNOWN for operator in part.operators)
        for part in model.subgraphs
    )


def _text(name: str) -> str:
    return next(text for own, _, text, _ in spec.ERRORS.values() if own == name)


def plan(data: bytes) -> BoardPlan:
    """Lay a model out as the board would.

    Args:
        data: a .tflite file, not only ours.
    Raises:
        UserError: not a .tflite, or damaged.
    """
    model = read_model(data)
    whole = refusal(data)
    # A stranger's file lacks our metadata: its operators may run all the same.
    strange = whole is not None and whole.error == "model_metadata"
    served = with_metadata(model) if strange and _is_copyable(model) else data
    operators = dict(_operator_refusals(model)) if refusal(served) else {}
    if refusal(served):
        return BoardPlan(whole, operators, 0, 0, 0, {})
    return _planned(served, whole)


def _planned(data: bytes, whole: Refusal | None) -> BoardPlan:
    info = [-1] * spec.INFO_INDEX_COUNT
    fb, root = twin._open(memoryview(data))
    recorder = _Recorder(fb, info)
    total, _, arena, _ = twin._plan_model(recorder, root)
    return BoardPlan(whole, {}, total, arena, recorder.slot_bytes, recorder.places)
