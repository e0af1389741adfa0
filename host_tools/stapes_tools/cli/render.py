"""What a transcript looks like on a terminal, and in a pipe."""

import contextlib
from collections.abc import Iterator

import stapes_spec as spec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text
from stapes import event as kinds
from stapes.event import Event

from ..transcript import Transcript

_RATE = spec.AUDIO_SAMPLE_RATE_HZ
_ROWS = 24  # of the lattice's table
_PIPE_COLUMNS = 200  # of a table that goes into a file or a pipe


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let main() decide: a reader such as `head` that has seen enough is no failure."""
        raise BrokenPipeError


console = _Console(highlight=False)
messages = _Console(stderr=True, highlight=False)


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal, or as wide as it is where there is none."""
    (console if console.is_terminal else _Console(highlight=False, width=_PIPE_COLUMNS)).print(table)


@contextlib.contextmanager
def waiting(what: str, show: bool = True) -> Iterator[None]:
    """Show on a terminal that something is going on; it vanishes when the block, or a live view, begins."""
    if not (show and messages.is_terminal):
        yield
        return
    status = messages.status(what + " …")
    status.start()
    _waiting.append(status)
    try:
        yield
    finally:
        status.stop()
        _waiting.remove(status)


_waiting: list = []


class LiveView:
    """Shows events as they come. On a terminal: one line with a bar and the words; in a pipe: a line each."""

    def __init__(self, sample_count: int, show: bool = True) -> None:
        self._show = show
        self._total_s = sample_count / _RATE
        self._task: TaskID | None = None
        columns = (
            BarColumn(24),
            TextColumn("{task.completed:4.1f} of {task.total:.1f} s"),
            TextColumn("{task.fields[words]}"),
        )
        self._bar = Progress(*columns, console=console, transient=True) if show and console.is_terminal else None

    def __enter__(self) -> "LiveView":
        for status in _waiting:
            status.stop()
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total_s, words="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def progress(self, samples: int) -> None:
        """Show how far the recording has been sent."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=samples / _RATE)

    def event(self, event: Event) -> None:
        """Show one event."""
        if not self._show:
            return
        if event.kind == kinds.PARTIAL and self._bar and self._task is not None:
            self._bar.update(self._task, words=event.text)
        line = describe_event(event)
        if line:
            console.print(Text(f"{event.time_ms / 1000:7.2f} s  ").append_text(line))


def describe_event(event: Event) -> Text | None:
    """Return an event's line, or None if it is not shown by itself."""
    if event.kind == kinds.LISTENING:
        return Text("listening", style="dim")
    if event.kind == kinds.SPEECH_START:
        return Text("speech starts", style="dim")
    if event.kind == kinds.PARTIAL:
        return Text(event.text or "…")
    if event.kind == kinds.ENDPOINT:
        return Text("end-point", style="bold")
    return _describe_trouble(event)


def _describe_trouble(event: Event) -> Text | None:
    if event.kind == kinds.OVERRUN:
        return Text(f"{event.lost} samples were lost: the board was too slow", style="red")
    if event.kind == kinds.ERROR:
        return Text(str(event.error), style="red")
    return None


def print_transcript(transcript: Transcript, nbest: int = 0) -> None:
    """Print words, meaning, alternatives and lattice."""
    console.print()
    console.print(Text(transcript.text or "(no words)", style="bold"))
    console.print()
    _print_meaning(transcript)
    if nbest:
        _print_nbest(transcript, nbest)
    _print_lattice(transcript)


def _print_meaning(transcript: Transcript) -> None:
    if transcript.lattice.is_rejected:
        doubt = f"{transcript.lattice.doubt:.1f} nats of doubt a word"
        console.print(f"intent   rejected, as it hardly sounds like a command ({doubt})")
        return
    if transcript.intent is None:
        console.print("intent   not understood")
        return
    console.print(Text("intent   ").append(transcript.intent, style="bold green"))
    for number, (slot, value) in enumerate(transcript.slots.items()):
        console.print(Text("slots    " if number == 0 else "         ").append(f"{slot} = {value}"))


def _print_nbest(transcript: Transcript, nbest: int) -> None:
    table = Table("", "hypothesis", "score", box=None, pad_edge=False, title_justify="left")
    for number, one in enumerate(transcript.lattice.nbest(nbest), 1):
        table.add_row(str(number), Text(one.text), f"{one.score:.2f}")
    console.print()
    console.print(table)


def _print_lattice(transcript: Transcript) -> None:
    lattice = transcript.lattice
    counts = f"lattice  {len(lattice.nodes)} nodes, {len(lattice.edges)} edges; * is the best path"
    console.print()
    console.print(Text(counts + (", some alternatives are missing" if lattice.is_truncated else "")))
    if not lattice.edges:
        return
    context = ["context"] if lattice.has_context else []
    table = Table("", "nodes", "word", "start", "end", "acoustic", "language", *context, box=None, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    for edge in sorted(lattice.edges, key=lambda edge: (edge.start_ms, not edge.best))[:_ROWS]:
        word = lattice.words[edge.word].text if edge.word is not None else "-"
        times = (f"{edge.start_ms / 1000:.2f} s", f"{edge.end_ms / 1000:.2f} s")
        nodes = f"{edge.from_node}-{edge.to_node}"
        scores = [f"{edge.acoustic:.2f}", f"{edge.language:.2f}", *([f"{edge.bias:.2f}"] if context else [])]
        style = "bold" if edge.best else ""
        table.add_row("*" if edge.best else "", nodes, Text(word), *times, *scores, style=style)
    console.print(table)
    if len(lattice.edges) > _ROWS:
        console.print(f"… and {len(lattice.edges) - _ROWS} more edges: --lattice FILE.txt writes them all")
