"""One optimiser step, or a function alone, on whichever Keras backend is in use: TensorFlow, JAX or torch.

TensorFlow and JAX compile the step once per batch shape; torch runs it eagerly.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

Losses = Callable[..., tuple]


def compiled(function: Callable) -> Callable:
    """A function of tensors that nothing is learnt from, compiled once per shape where the backend compiles."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import torch

    return torch.no_grad()(function)


class Step:
    """Gradient, update and averaged weights for one batch.

    Args:
        net: a built network.
        optimizer: its optimiser, built.
        losses: (*arrays) -> (total: scalar, parts: float32 [n] for the log).
        ema: share that the averaged weights keep at every step.
    """

    def __init__(self, net: keras.Model, optimizer: keras.optimizers.Optimizer, losses: Losses, ema: float):
        self.net, self.optimizer, self.losses, self.ema = net, optimizer, losses, ema
        self.averages = [
            keras.Variable(variable.value, trainable=False, name=f"average{index}")
            for index, variable in enumerate(net.trainable_variables)
        ]
        make = {"tensorflow": self._tensorflow, "jax": self._jax, "torch": self._torch}
        self._run = make[keras.backend.backend()]()

    def __call__(self, *arrays: np.ndarray):
        """Run one step; arrays are what losses takes. Returns the parts, a tensor [n] that may be on its way still."""
        return self._run(*arrays)

    def _kept(self):
        """Less than ema at first, so that the average forgets the start."""
        return ops.minimum(self.ema, ops.cast(self.optimizer.iterations, "float32") / 100.0)

    def _tensorflow(self):
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def run(*arrays):
            with tf.GradientTape() as tape:
                total, parts = self.losses(*arrays)
            variables = self.net.trainable_variables
            self.optimizer.apply(tape.gradient(total, variables), variables)
            self._average()
            return parts

        return lambda *arrays: run(*map(tf.convert_to_tensor, arrays))

    def _torch(self):
        import torch

        def run(*arrays):
            self.net.zero_grad()
            total, parts = self.losses(*(ops.convert_to_tensor(array) for array in arrays))
            total.backward()
            variables = self.net.trainable_variables
            with torch.no_grad():
                self.optimizer.apply([variable.value.grad for variable in variables], variables)
                self._average()
            return parts.detach()

        return run

    def _average(self) -> None:
        kept = self._kept()
        for average, variable in zip(self.averages, self.net.trainable_variables, strict=True):
            average.assign(kept * average + (1.0 - kept) * variable)

    def _jax(self):
        import jax

        trained, others = self.net.trainable_variables, self.net.non_trainable_variables

        def forward(values, other_values, arrays):
            mapping = [*zip(trained, values, strict=True), *zip(others, other_values, strict=True)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                total, parts = self.losses(*arrays)
            return total, (parts, [scope.get_current_value(variable) for variable in others])

        @jax.jit
        def run(values, other_values, optimizer_values, average_values, arrays):
            gradient = jax.value_and_grad(forward, has_aux=True)
            (_, (parts, other_values)), gradients = gradient(values, other_values, arrays)
            values, optimizer_values = self.optimizer.stateless_apply(optimizer_values, gradients, values)
            kept = ops.minimum(self.ema, ops.cast(optimizer_values[0], "float32") / 100.0)
            averages = [kept * a + (1.0 - kept) * v for a, v in zip(average_values, values, strict=True)]
            return parts, (values, other_values, optimizer_values, averages)

        groups = (trained, others, self.optimizer.variables, self.averages)

        def step(*arrays):
            states = [[variable.value for variable in group] for group in groups]
            parts, changed = run(*states, arrays)
            for group, values in zip(groups, changed, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
            return parts

        return step
