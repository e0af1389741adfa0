"""How many threads a training step may use, whichever backend runs it."""

import os


def limit_threads(threads: int) -> None:
    """Call this before anything is computed; workers in other processes inherit one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)
    else:
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
