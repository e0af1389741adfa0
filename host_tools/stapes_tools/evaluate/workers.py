"""Recordings heard by several processes at once, each with recognisers of its own."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Listener = TypeVar("Listener")
Sound = TypeVar("Sound")
Result = TypeVar("Result")
_CHUNK = 4  # recordings handed to a process at a time


def hear_in_workers(
    processes: int,
    make: Callable[..., Listener],
    given: tuple,
    hear: Callable[[Listener, Sound], Result],
    sounds: Iterable[Sound],
) -> Iterator[Result]:
    """Yield hear(make(*given), sound) of each sound, in order; every process makes its listener once.

    Args:
        processes: how many hear at once; 1 hears in this one.
        make, given, hear, sounds: what crosses to the other processes must pickle: functions and classes of modules.
    Raises:
        whatever make and hear raise.
    """
    listener = make(*given)  # here too: a worker that cannot open its files says nothing of use
    if processes <= 1:
        yield from (hear(listener, sound) for sound in sounds)
        return
    # Fresh processes: a forked one may inherit a lock that a thread of numpy or TensorFlow holds.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(make, given, hear))
    try:
        yield from pool.map(_hear, sounds, chunksize=_CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


_own: list[tuple[Any, Callable]] = []  # of a worker: its listener, and how it hears


def _start(make: Callable, given: tuple, hear: Callable) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one decides
    _own[:] = [(make(*given), hear)]


def _hear(sound: Any) -> Any:
    listener, hear = _own[0]
    return hear(listener, sound)
