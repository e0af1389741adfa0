"""`stapes monitor`: what a board that listens by itself says, live."""

import json
import sys
from pathlib import Path

import click
from rich.text import Text
from serial.tools import list_ports
from stapes import event as kinds
from stapes.event import Event

from ..device.addresses import load_key, open_stream
from ..device.monitor import Monitor
from ..errors import UserError
from ..lattice.formats import as_json
from ..lattice.lattice import parse
from ..transcript import event_as_json
from .render import console, describe_event, messages

_LATTICES = (kinds.LATTICE, kinds.SPECULATIVE)


@click.command(short_help="Show the events of a board that listens by itself, live.")
@click.argument("where", metavar="[PORT|tcp://HOST:PORT|tls://HOST:PORT?pin=SHA256]", required=False)
@click.option(
    "--key", type=click.Path(path_type=Path), help="File with the device key; default: what STAPES_KEY names."
)
@click.option("--json", "as_lines", is_flag=True, help="Print one JSON object per line and nothing else.")
@click.option("--retry", type=float, metavar="S", help="Give up S seconds after a loss; default: try for ever.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N utterances.")
def monitor(*, where: str | None, key: Path | None, as_lines: bool, retry: float | None, count: int | None) -> None:
    """Print a board's events as they come, until Ctrl-C.

    Without an address: the board at the only serial port. A connection that is lost is made again, and
    nothing that must arrive - lattices, intents, resets, confirmations, errors - is missed or shown twice;
    what the board had to give up meanwhile is said.
    """
    place = where or _only_port()
    secret = load_key(key)
    name = place.partition("?")[0]

    def notice(line: str) -> None:
        if not as_lines:
            messages.print(Text(f"{name}: {line}", style="dim"))

    with Monitor(name, lambda: open_stream(place), secret, notice, retry) as board:
        ended = 0
        for event in board.events():
            if as_lines:
                json.dump(object_of(event), sys.stdout, ensure_ascii=False)
                sys.stdout.write("\n")
                sys.stdout.flush()
            else:
                print_event(event)
            ended += event.kind in (kinds.INTENT,)
            if ended == count:
                return


def _only_port() -> str:
    ports = [port.device for port in list_ports.comports() if port.vid is not None]
    if len(ports) != 1:
        found = ", ".join(ports) or "none"
        raise UserError(f"there is not just one board at a port (found: {found})", None, "name the port or address")
    return ports[0]


def object_of(event: Event) -> dict:
    """Return an event as `--json` prints it."""
    shown = event_as_json(event)
    if event.utterance is not None:
        shown["utterance"] = event.utterance
    if event.kind in _LATTICES:
        lattice = parse(bytes(event.lattice.data))
        shown.update(text=lattice.text, lattice=as_json(lattice))
    if event.kind in (*_LATTICES, kinds.RESET, kinds.CONFIRM):
        shown["revision"] = event.revision
    if event.kind in (kinds.SPECULATIVE, kinds.CONFIRM):
        shown.update(intent=event.intent, slots=event.slots)
    if event.kind in (kinds.OVERRUN, kinds.GIVEN_UP):
        shown["lost"] = event.lost
    if event.kind == kinds.ERROR:
        shown["error"] = str(event.error)
    return shown


def print_event(event: Event) -> None:
    """Print an event's line."""
    line = describe_event(event) or _describe(event)
    if line is not None:
        console.print(Text(f"{event.time_ms / 1000:9.2f} s  ").append_text(line))


def _describe(event: Event) -> Text | None:
    """Return the line of an event that a transcript does not show by itself."""
    number = f"{event.utterance}.{event.revision}"
    if event.kind in _LATTICES:
        title = "start" if event.kind == kinds.SPECULATIVE else "lattice"
        line = Text(f"{title} {number}  ").append(event.text or "(no words)", style="bold")
        return line.append("  rejected", style="yellow") if event.lattice.is_rejected else line
    slots = ", ".join(f"{slot} = {value}" for slot, value in (event.slots or {}).items())
    lines = {
        kinds.RESET: (f"reset {number}", "yellow"),
        kinds.CONFIRM: (f"confirm {number}", "green"),
        kinds.INTENT: (f"intent {event.intent or 'not understood'}  {slots}", "bold green" if event.intent else ""),
        kinds.OVERRUN: (f"overrun: {event.lost} samples lost", "red"),
        kinds.GIVEN_UP: (f"{event.lost} events were given up by the board", "red"),
        kinds.ERROR: (f"error: {event.error}", "red"),
    }
    return Text(*lines[event.kind]) if event.kind in lines else None
