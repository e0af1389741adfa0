"""The stock interpreters, on subgraph 0 of a model."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime


class LiteRT:
    """The LiteRT interpreter on subgraph 0."""

    def __init__(self, model, resolver=OpResolverType.BUILTIN_REF):
        self.interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
        self.interpreter.allocate_tensors()

    def __call__(self, *inputs):
        for detail, value in zip(self.interpreter.get_input_details(), inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], value)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(detail["index"]) for detail in self.interpreter.get_output_details()]


class Micro:
    """The TensorFlow Lite Micro interpreter on subgraph 0."""

    def __init__(self, model, outputs):
        self.interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 22)
        self.outputs = outputs

    def __call__(self, *inputs):
        for index, value in enumerate(inputs):
            self.interpreter.set_input(value, index)
        self.interpreter.invoke()
        return [np.array(self.interpreter.get_output(index)) for index in range(self.outputs)]
