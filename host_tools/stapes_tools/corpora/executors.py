"""Where independent work runs: in this process, in several, or on a Ray cluster; always the same results.

Every executor maps a function over tasks and gives the results in the order of the tasks, a
bounded number of them under way, so that a map over many hours of audio needs little memory.
"""

import itertools
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from stapes_tools.errors import StapesError, UserError

T = TypeVar("T")
R = TypeVar("R")

CLUSTER_INSTALL = "pip install ray"
_CHUNK = 8
_CHUNKS_UNDER_WAY = 4  # per process: enough that none waits for the reader


class Executor(Protocol):
    """Maps work, an importable function, over tasks that can be pickled."""

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yield work(task) for every task, in order; an exception of work is raised in its place."""
        ...


class InProcess:
    """One after the other, here."""

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        return map(work, tasks)


class Processes:
    """Several fresh processes on this machine."""

    def __init__(self, count: int):
        self._count = count

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        pool = worker_pool(self._count, initializer=_ignore_interrupts)
        try:
            yield from _in_order(
                chunks(tasks, _CHUNK),
                lambda chunk: pool.submit(run_chunk, work, chunk),
                lambda future: future.result(),
                self._count * _CHUNKS_UNDER_WAY,
            )
        except BrokenProcessPool:
            advice = "run it again, it goes on where it stopped; with --processes 1 if memory is short"
            raise UserError("a worker process was killed", advice=advice) from None
        finally:
            pool.shutdown(cancel_futures=True)


class RayCluster:
    """The nodes of a Ray cluster; each needs the same version of stapes-tools and the engines that it uses.

    Args:
        address: of the cluster's head, "auto" for the one this machine belongs to, "local" for a
            cluster of this machine alone, made and ended here.
        ray: the package; imported when it is None.
    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str = "auto", ray: Any = None):
        self._ray = _import_ray() if ray is None else ray
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "ignore_reinit_error": True,
        }
        options |= {"include_dashboard": False} if address == "local" else {"address": address}
        try:
            self._ray.init(**options)
        except (ConnectionError, TimeoutError, ValueError) as error:
            what = f"there is no Ray cluster ({' '.join(str(error).split())[:100]})"
            raise UserError(what, address, "start one with: ray start --head") from None
        self._cpus = max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        remote = self._ray.remote(run_chunk)
        return _in_order(
            chunks(tasks, _CHUNK),
            lambda chunk: remote.remote(work, chunk),
            self._ray.get,
            self._cpus * _CHUNKS_UNDER_WAY,
        )


def choose(processes: int, cluster: str | None = None, tasks: int | None = None) -> Executor:
    """The executor for a cluster if its address is given, else for processes: no more than a few tasks need."""
    if cluster is not None:
        return RayCluster(cluster)
    if tasks is not None:
        processes = min(processes, -(-tasks // _CHUNK))
    return Processes(processes) if processes > 1 else InProcess()


def worker_pool(processes: int, **options) -> ProcessPoolExecutor:
    """Fresh processes: a forked one may inherit a lock that a thread of numpy or TensorFlow holds."""
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), **options)


def chunks(tasks: Iterable[T], size: int) -> Iterator[list[T]]:
    """Tasks in lists of size, the last one shorter."""
    source = iter(tasks)
    while chunk := list(itertools.islice(source, size)):
        yield chunk


def run_chunk(work: Callable[[T], R], tasks: list[T]) -> tuple[list[R], StapesError | None]:
    """Results of work until the first expected error, and that error.

    It travels as a value: Ray wraps exceptions in classes of its own, with the worker's traceback.
    """
    results: list[R] = []
    for task in tasks:
        try:
            results.append(work(task))
        except StapesError as error:
            return results, error
    return results, None


def _in_order(chunked: Iterator[list], submit: Callable, collect: Callable, limit: int) -> Iterator:
    """Submit chunks, at most limit ahead of the reader, and yield their results in order."""
    under_way = deque(map(submit, itertools.islice(chunked, limit)))
    while under_way:
        results, error = collect(under_way.popleft())
        under_way.extend(map(submit, itertools.islice(chunked, 1)))
        yield from results
        if error is not None:
            raise error


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; only the parent shall answer it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _import_ray():
    # Nothing about anyone's speech leaves the machine, not even how often Ray is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("--cluster needs Ray, which is not installed", advice=f"run: {CLUSTER_INSTALL}") from None
    return ray
