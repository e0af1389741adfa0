"""How far long work has come: said to whoever asks, to nobody by default.

with progress.on_terminal():        # bars on standard error, if that is a terminal
with progress.told(tell.progress):  # (name, share from 0 to 1), for a program with bars of its own
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

T = TypeVar("T")
Advance = Callable[[int], None]


class _Bars(Protocol):
    def __call__(
        self, what: str, total: int | None, done: int, in_bytes: bool
    ) -> contextlib.AbstractContextManager[Advance]: ...


@contextlib.contextmanager
def _unseen(what: str, total: int | None, done: int, in_bytes: bool) -> Iterator[Advance]:
    yield lambda count: None


_bars: ContextVar[_Bars] = ContextVar("bars", default=_unseen)


def bar(
    what: str, total: int | None, done: int = 0, in_bytes: bool = False
) -> contextlib.AbstractContextManager[Advance]:
    """A bar around some work; call what comes out with every advance.

    Args:
        what: a few words before the bar.
        total: items or bytes; None if not known.
        done: how many of them are there already.
        in_bytes: what is counted are bytes.
    """
    return _bars.get()(what, total, done, in_bytes)


def tracked(items: Iterable[T], what: str, total: int | None = None, done: int = 0) -> Iterator[T]:
    """Yield items with a bar around them; total counts what is done already, too."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(what, total, done) as advance:
        for item in items:
            yield item
            advance(1)


@contextlib.contextmanager
def on_terminal() -> Iterator[None]:
    """Draw bars, which vanish when their work is done."""
    token = _bars.set(_drawn)
    try:
        yield
    finally:
        _bars.reset(token)


@contextlib.contextmanager
def told(tell: Callable[[str, float], None]) -> Iterator[None]:
    """Tell the share of each piece of work that is done."""

    @contextlib.contextmanager
    def telling(what: str, total: int | None, done: int, in_bytes: bool) -> Iterator[Advance]:
        def advance(count: int) -> None:
            nonlocal done
            done += count
            tell(what, done / max(total or 1, 1))

        yield advance

    token = _bars.set(telling)
    try:
        yield
    finally:
        _bars.reset(token)


@contextlib.contextmanager
def _drawn(what: str, total: int | None, done: int, in_bytes: bool) -> Iterator[Advance]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda count: None
        return
    amount: tuple[ProgressColumn, ...] = (MofNCompleteColumn(),)
    if in_bytes:
        amount = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(24), *amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        yield lambda count: progress.update(task, advance=count)
