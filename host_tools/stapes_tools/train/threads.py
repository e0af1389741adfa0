"""How many threads a training step may use, whichever backend runs it."""

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec

from stapes_tools.errors import TRAIN_TOOLS, UserError


def choose_backend(name: str | None, threads: int) -> None:
    """Say which Keras backend runs, before Keras is imported, and with how many threads.

    Raises:
        UserError: Keras, the backend or the synthesisers' packages are not installed.
    """
    if name:
        os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for package in ("keras", os.environ.get("KERAS_BACKEND", "tensorflow")):
        if find_spec(package) is None:
            raise UserError(f"training needs {package}, which is not installed", advice=f"run: {TRAIN_TOOLS}")
    limit_threads(threads)


def limit_threads(threads: int) -> None:
    """Call this before anything is computed; workers in other processes inherit one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        with _quietly():
            import tensorflow as tf

        # It warns of each shape that it compiles for, which is what this training wants.
        tf.get_logger().setLevel("ERROR")
        # Where TensorFlow has computed something already, it keeps the threads that it has.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """TensorFlow's C++ parts speak of the processor's features when they are loaded, whatever the log level."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
