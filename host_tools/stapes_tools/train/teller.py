"""How long work tells where it is: lines, and bars with an estimate of the time that is left."""

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Left


class Teller(Protocol):
    """Who is told."""

    def say(self, line: str) -> None:
        """One line that stays."""
        ...

    def progress(self, name: str, share: float) -> None:
        """A named piece of work is done up to share, 0 to 1."""
        ...


_EVERY_S = 60.0


class ConsoleTeller:
    """Bars on a terminal, with the lines above them; elsewhere lines, once a minute for each bar. A context manager."""

    def __init__(self, console: Console):
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), Left())
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._told_s: dict[str, float] = {}

    def __enter__(self) -> "ConsoleTeller":
        self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        self._bars.stop()

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def progress(self, name: str, share: float) -> None:
        """Draw or move the bar called name."""
        if not self._console.is_terminal:
            self._tell(name, share)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=1.0)
        self._bars.update(self._tasks[name], completed=share)

    def _tell(self, name: str, share: float) -> None:
        """A line for what takes long; nothing in its first minute."""
        now = time.monotonic()
        if now - self._told_s.setdefault(name, now) >= _EVERY_S:
            self._told_s[name] = now
            self.say(f"{name}: {share:.0%}")


class QuietTeller:
    """Keeps the lines, for tests and scripts."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)

    def progress(self, name: str, share: float) -> None:
        """Nothing to see."""
