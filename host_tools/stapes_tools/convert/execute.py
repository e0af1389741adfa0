"""Run a model operator by operator and see every activation.

The board's kernels run what they serve, LiteRT's reference kernels the rest where they are installed. An operator whose
weights change is made anew; operators that a change cannot reach are not run again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import stapes_spec as spec

from stapes_tools import kernels
from stapes_tools.convert.board import activations, alone, operator_refusal, with_metadata
from stapes_tools.convert.flatbuffer import serialise
from stapes_tools.convert.graph import Operator, Subgraph, Tensor
from stapes_tools.errors import UserError

Values = dict[int, bytes]  # activations by the index of their tensor


class _Runner(Protocol):
    def reset(self) -> None: ...

    def run(self, inputs: Sequence[bytes]) -> list[bytes]: ...


class _KernelRunner:
    """One operator in the board's kernels; an LSTM keeps its state."""

    def __init__(self, part: Subgraph, operator: Operator):
        self._data = with_metadata(alone(part, operator))
        info = np.zeros(spec.INFO_INDEX_COUNT, np.int32)
        self._state = bytearray(_checked(kernels.model_size(self._data, info)))
        _checked(kernels.model_init(self._state, self._data, info))
        self._inputs = [self._place(0, k) for k in range(len(activations(part, operator)))]
        self._output = self._place(1, 0)

    def _place(self, output: int, k: int) -> slice:
        start = _checked(kernels.model_tensor(self._state, self._data, 0, output, k))
        return slice(start, start + _checked(kernels.model_tensor_size(self._state, self._data, 0, output, k)))

    def reset(self) -> None:
        """Set an LSTM's state to zero."""
        _checked(kernels.model_reset(self._state, self._data))

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """Results of one invocation."""
        for place, values in zip(self._inputs, inputs, strict=True):
            self._state[place] = values
        _checked(kernels.model_invoke(self._state, self._data, 0))
        return [bytes(self._state[self._output])]


class _LitertRunner:
    """One operator in LiteRT's reference kernels."""

    def __init__(self, part: Subgraph, operator: Operator):
        model = alone(part, operator)
        interpreter = _litert(serialise(model), operator.kind)
        try:
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError("neither the board nor LiteRT runs {} ({})".format(operator.kind, reason)) from None
        self._interpreter = interpreter
        self._inputs = [(detail["index"], detail) for detail in interpreter.get_input_details()]
        self._outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def reset(self) -> None:
        """Set variable tensors to zero."""
        self._interpreter.reset_all_variables()

    def run(self, inputs: Sequence[bytes]) -> list[bytes]:
        """Results of one invocation."""
        for (index, detail), values in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, np.frombuffer(values, detail["dtype"]).reshape(detail["shape"]))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index).tobytes() for index in self._outputs]


def _litert(data: bytes, kind: str) -> Any:
    """An interpreter of whichever package brings LiteRT."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        raise UserError(
            "the board's kernels do not run {}, and LiteRT is not installed".format(kind),
            advice="run `pip install ai-edge-litert`",
        ) from None
    return Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)


def _checked(status: int) -> int:
    if status < 0:
        _name, _fault, text, advice = spec.ERRORS[-status]
        raise UserError(text, advice=advice)
    return status


def _runner(part: Subgraph, operator: Operator) -> _Runner:
    if operator_refusal(part, operator) is None:
        return _KernelRunner(part, operator)
    return _LitertRunner(part, operator)


def recurrence(part: Subgraph) -> dict[int, int]:
    """Recurrent inputs and the outputs that they take the values of, as the board sees them (docs/kernels_api.md)."""
    count = len(part.outputs) - 1
    inputs = part.inputs[len(part.inputs) - count :] if 0 < count < len(part.inputs) else []
    pairs = dict(zip(inputs, part.outputs[1:], strict=bool(inputs)))
    return pairs if all(_alike(part.tensors[x], part.tensors[y]) for x, y in pairs.items()) else {}


def _alike(x: Tensor, y: Tensor) -> bool:
    return (x.dtype, x.shape, x.scale, x.zero_point) == (y.dtype, y.shape, y.scale, y.zero_point)


def free_inputs(part: Subgraph) -> list[int]:
    """The inputs that a caller gives at every step."""
    states = recurrence(part)
    return [index for index in part.inputs if index not in states]


class SubgraphRun:
    """A subgraph with its recurrent state."""

    def __init__(self, part: Subgraph):
        self.part = part
        self._reads = [activations(part, operator) for operator in part.operators]
        self._runners = [_runner(part, operator) for operator in part.operators]
        self._states = recurrence(part)
        self._free = free_inputs(part)

    def renew(self, number: int) -> None:
        """Take over changed weights of an operator."""
        self._runners[number] = _runner(self.part, self.part.operators[number])

    def reached(self, operators: Iterable[int], tensors: Iterable[int] = ()) -> set[int]:
        """Operators whose results may change when some operators and tensors do, through the state too."""
        found, changed = set(operators), set(tensors)
        while True:
            before = len(found), len(changed)
            for number in found:
                changed.update(self.part.operators[number].outputs)
            changed.update(x for x, y in self._states.items() if y in changed)
            found.update(number for number, reads in enumerate(self._reads) if changed.intersection(reads))
            if (len(found), len(changed)) == before:
                return found

    def sequence(
        self,
        steps: Sequence[Sequence[bytes]],
        known: Sequence[Mapping[int, bytes]] | None = None,
        rerun: Collection[int] | None = None,
    ) -> list[Values]:
        """Run steps from the zero state.

        Args:
            steps: per step, values of the free inputs.
            known: activations of an earlier run of the same steps.
            rerun: with known: the operators to run, all others having the same results.
        Returns:
            per step, all activations.
        """
        for runner in self._runners:
            runner.reset()
        state = {index: _zero(self.part.tensors[index]) for index in self._states}
        results = []
        for number, inputs in enumerate(steps):
            values = dict(known[number]) if known is not None else {}
            values |= state | dict(zip(self._free, inputs, strict=True))
            for index in range(len(self._runners)) if known is None or rerun is None else sorted(rerun):
                found = self._runners[index].run([values[k] for k in self._reads[index]])
                values.update(zip(self.part.operators[index].outputs, found, strict=True))
            state = {x: values[y] for x, y in self._states.items()}
            results.append(values)
        return results


def _zero(tensor: Tensor) -> bytes:
    point = tensor.zero_point[0] if tensor.zero_point else 0
    return np.full(tensor.shape, point, tensor.dtype).tobytes()
