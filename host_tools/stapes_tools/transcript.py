"""What a recogniser made of one recording."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from stapes import event as kinds
from stapes.event import Event

from .device.host import HostSession
from .device.session import PLAIN, Order, Progress, Session
from .lattice.lattice import Lattice, parse


@dataclass
class Transcript:
    """The result of one utterance.

    Attributes:
        on: where it was recognised: "host", "unix", "emulator", or a port.
        events: every event, in order, but for TRACE.
        records: of the steps, in order, where the order asked for a trace (stapes.trace).
        lattice: the final word lattice; the speculative one, where that was confirmed instead of sent again.
        intent: what was meant, or None when it was not understood.
        slots: slot name to spoken words.
        statistics: the search's figures.
    """

    on: str
    events: list[Event] = field(default_factory=list)
    records: list[dict] = field(default_factory=list)
    lattice: Lattice = field(default_factory=lambda: Lattice([0], [], []))
    lattice_bytes: bytes = b""
    intent: str | None = None
    slots: dict[str, str] = field(default_factory=dict)
    statistics: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The words of the best path."""
        return self.lattice.text

    def add(self, event: Event) -> None:
        """Take in the next event."""
        if event.kind == kinds.TRACE:
            self.records.append(event.trace)
            return
        self.events.append(event)
        if event.kind in (kinds.LATTICE, kinds.SPECULATIVE):
            self.lattice_bytes = bytes(event.lattice.data)
            self.lattice = parse(self.lattice_bytes, path=self.on)
        elif event.kind == kinds.INTENT:
            self.intent = event.intent
            # MicroPython's dicts have no order: take that of speech.
            spoken = list(self.lattice.slots)
            self.slots = dict(sorted(event.slots.items(), key=lambda slot: spoken.index(slot[0])))
        elif event.kind == kinds.STATISTICS:
            self.statistics = dict(event.statistics)


def transcribe(
    samples: np.ndarray,
    session: Session | HostSession,
    watch: Iterable = (),
    progress: Progress = lambda _: None,
    order: Order = PLAIN,
) -> Transcript:
    """Recognise one recording.

    Args:
        samples: int16 [n], 16 kHz, mono.
        session: connected.
        watch: functions to call with each event as it comes.
        progress: called with the samples sent so far.
        order: how to hear it.
    Raises:
        UserError, BoardError, DeviceError: what the board or the link reports.
    """
    transcript = Transcript(session.name)
    for event in session.recognise(samples, progress, order):
        transcript.add(event)
        for function in watch:
            function(event)
    return transcript


def event_as_json(event: Event) -> dict:
    """Return an event as the `--json` output shows it."""
    shown: dict = {"kind": event.name, "time_ms": event.time_ms}
    if event.kind == kinds.PARTIAL:
        shown["text"] = event.text
    elif event.kind == kinds.INTENT:
        shown.update(intent=event.intent, slots=event.slots)
    elif event.kind == kinds.STATISTICS:
        shown.update(event.statistics)
    elif event.kind == kinds.ERROR:
        shown.update(code=event.error.code, name=event.error.name, text=str(event.error))
    elif event.kind == kinds.OVERRUN:
        shown["lost"] = event.lost
    return shown
