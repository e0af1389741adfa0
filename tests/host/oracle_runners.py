"""Run one subgraph of a model over a sequence of steps, in LiteRT, TensorFlow Lite Micro and ours.

Every runner takes the model file, the subgraph's name and, for each step, the arrays of the
subgraph's free inputs (all but the recurrent states); it returns, for each step, all outputs.
The recurrent rule is that of docs/kernels_api.md: of m outputs, outputs 1 ... m - 1 are at the next step
what the last m - 1 inputs hold; before the first step those hold their zero points.
"""

import numpy as np
import stapes_spec
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from stapes_tools.convert.read import read_model
from stapes_tools.convert.split import extract_subgraph
from tflite_micro.python.tflite_micro import runtime

ARENA_BYTES = 1_000_000


def free_inputs(data, name):
    """The subgraph's tensors that a caller fills in at every step."""
    part = read_model(data).subgraph(name)
    return [part.tensors[index] for index in part.inputs[: len(part.inputs) - len(part.outputs) + 1]]


def random_steps(data, name, count, seed):
    """count steps of random inputs; every eighth step holds extreme values only."""
    rng = np.random.default_rng(seed)
    units = read_model(data).subgraph("joint").tensors[read_model(data).subgraph("joint").outputs[0]].shape[-1]
    steps = []
    for step in range(count):
        arrays = []
        for tensor in free_inputs(data, name):
            if tensor.dtype == "int32":
                arrays.append(rng.integers(0, units, tensor.shape, dtype=np.int32))
            elif step % 8 == 7:
                arrays.append(rng.choice(np.array([-128, 127], np.int8), tensor.shape))
            else:
                arrays.append(rng.integers(-128, 128, tensor.shape, dtype=np.int8))
        steps.append(arrays)
    return steps


def _carried(data, name, steps, invoke):
    part = read_model(data).subgraph(name)
    tensors = [part.tensors[index] for index in part.inputs]
    free = len(part.inputs) - len(part.outputs) + 1
    states = [np.full(tensor.shape, tensor.zero_point[0], np.int8) for tensor in tensors[free:]]
    results = []
    for arrays in steps:
        outputs = invoke([*arrays, *states])
        results.append(outputs)
        states = outputs[1:]
    return results


def run_litert(data, name, steps):
    """LiteRT's reference kernels, through the model's signature."""
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    signature = interpreter.get_signature_runner(name)
    part = read_model(data).subgraph(name)
    inputs = [part.tensors[index].name for index in part.inputs]
    outputs = [part.tensors[index].name for index in part.outputs]

    def invoke(arrays):
        result = signature(**dict(zip(inputs, arrays, strict=True)))
        return [result[output].copy() for output in outputs]

    return _carried(data, name, steps, invoke)


def run_tflm(data, name, steps):
    """TensorFlow Lite Micro, which runs the first subgraph only: the part is cut out first."""
    interpreter = runtime.Interpreter.from_bytes(extract_subgraph(data, name), arena_size=ARENA_BYTES)
    count = len(read_model(data).subgraph(name).outputs)

    def invoke(arrays):
        for index, array in enumerate(arrays):
            interpreter.set_input(array, index)
        interpreter.invoke()
        return [interpreter.get_output(index).copy() for index in range(count)]

    return _carried(data, name, steps, invoke)


def assert_equal_runs(expected, found, what):
    """Every output of every step, bit for bit."""
    assert len(expected) == len(found)
    for step, (left, right) in enumerate(zip(expected, found, strict=True)):
        assert len(left) == len(right)
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            differing = int(np.count_nonzero(np.ravel(a) != np.ravel(b)))
            assert differing == 0, f"{what}: step {step}, output {index}: {differing} of {np.size(a)} values differ"


def _status(code, call):
    assert code >= 0, f"{call} failed: {stapes_spec.ERRORS[-code]}"
    return code


def run_kernels(module, data, name, steps):
    """Our interpreter: the C kernels on this computer, or their Python twin, by one interface."""
    info = np.zeros(stapes_spec.INFO_INDEX_COUNT, np.int32)
    state = bytearray(_status(module.model_size(data, info), "model_size"))
    _status(module.model_init(state, data, info), "model_init")
    index = _status(module.model_subgraph(state, data, name.encode()), "model_subgraph")
    part = read_model(data).subgraph(name)

    def place(output, k):
        at = _status(module.model_tensor(state, data, index, output, k), "model_tensor")
        return slice(at, at + _status(module.model_tensor_size(state, data, index, output, k), "model_tensor_size"))

    inputs = [place(0, k) for k in range(len(free_inputs(data, name)))]
    outputs = [place(1, k) for k in range(len(part.outputs))]
    shapes = [part.tensors[k].shape for k in part.outputs]
    results = []
    for arrays in steps:
        for where, array in zip(inputs, arrays, strict=True):
            state[where] = array.tobytes()
        _status(module.model_invoke(state, data, index), "model_invoke")
        found = [np.frombuffer(bytes(state[where]), np.int8) for where in outputs]
        results.append([array.reshape(shape) for array, shape in zip(found, shapes, strict=True)])
    return results
