"""An RP2040 without hardware: rp2040py in a process of its own, its USB serial as a byte stream."""

import contextlib
import importlib.util
import json
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .boards import load_board
from .emulator_core import ready_core
from .errors import BoardError, DeviceError
from .stream import RawPrompt, tail

BOOT_TIMEOUT_S = 60.0
CONTROL_TIMEOUT_S = 60.0  # following the core instruction by instruction takes seconds
CLOSE_TIMEOUT_S = 3.0
WRITE_TIMEOUT_S = 300.0
EMULATED_BOARD = "rp2040_pico"  # folder of boards


@dataclass(frozen=True)
class Clock:
    """The emulated board's time: nanoseconds since power-up, and core cycles spent awake."""

    nanoseconds: int
    cycles: int

    def __sub__(self, other: "Clock") -> "Clock":
        return Clock(self.nanoseconds - other.nanoseconds, self.cycles - other.cycles)


@dataclass(frozen=True)
class Samples:
    """Where cycles went, sample by sample.

    Attributes:
        places: the function, then the callers that were looked for, innermost first.
        place: of each sample, an index of places.
        cycles: of each sample, since the one before.
        us: of each sample, the board's time.ticks_us().
        began: the core's cycles when sampling began.
        sent: what the board sent, and when, in core cycles.
    """

    places: list[tuple[str, ...]]
    place: list[int]
    cycles: list[int]
    us: list[int]
    began: int
    sent: list[tuple[int, bytes]]


@dataclass(frozen=True)
class Fetches:
    """What the flash cache has to fetch.

    Attributes:
        cycles: that were followed.
        code, data: words, by the function that ran.
        forbidden: reads of flash while the board read it for the DMA, which a chip would not survive.
    """

    cycles: int
    code: dict[str, int]
    data: dict[str, int]
    forbidden: int

    @property
    def fetched_per_cycle(self) -> float:
        """Words per cycle; 0 when nothing was followed."""
        return (sum(self.code.values()) + sum(self.data.values())) / self.cycles if self.cycles else 0.0


class EmulatedBoard:
    """A running emulated RP2040. Use it in a `with` statement, or call close().

    Args:
        uf2: the whole flash image: firmware, and ROMFS if any; or what keep_flash() has written.
        uart: number of the UART to connect, None: none. Its other end is uart_stream().
    Raises:
        DeviceError: the emulator is not installed, or there is no such image.
    """

    name = "the emulated RP2040"

    def __init__(self, uf2: Path, uart: int | None = None):
        if importlib.util.find_spec("rp2040py") is None:
            raise DeviceError("the RP2040 emulator is missing; run: pip install 'stapes-tools[emulator]'")
        if not uf2.is_file():
            raise DeviceError(f"{uf2}: there is no such image; run: make firmware BOARD=rp2040_pico")
        self._said = bytearray()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._stream, stream_end = socket.socketpair()
        self._control, control_end = socket.socketpair()
        ends = [stream_end.fileno(), control_end.fileno()]
        wire: list[str] = []
        self._uart: socket.socket | None = None
        if uart is not None:
            self._uart, uart_end = socket.socketpair()
            ends.append(uart_end.fileno())
            wire = [str(uart), str(ends[-1])]
        ready_core()  # here: compiling it takes longer than a board may take to boot
        module = "stapes_tools.device.emulated_start"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(uf2), *map(str, ends[:2]), *wire],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        stream_end.close()
        control_end.close()
        if uart is not None:
            uart_end.close()
        self._stream.settimeout(WRITE_TIMEOUT_S)
        self._control.settimeout(CONTROL_TIMEOUT_S)

    def read(self, count: int, timeout_s: float) -> bytes:
        """Up to count bytes of what the board sent; b"" if none came in timeout_s of wall time.

        Raises:
            BoardError: the emulator has ended.
        """
        if not select.select([self._stream], [], [], max(timeout_s, 0))[0]:
            return b""
        try:
            data = self._stream.recv(count)
        except ConnectionError:
            data = b""
        if not data:
            raise self._ended()
        self._said = (self._said + data)[-4096:]
        return data

    def write(self, data: bytes) -> None:
        """Send all of data to the board; at most WRITE_TIMEOUT_S without progress.

        Raises:
            BoardError: the board takes nothing any more, or the emulator has ended.
        """
        rest = memoryview(data)
        while rest:
            try:
                sent = self._stream.send(rest)
            except TimeoutError:
                raise BoardError(
                    f"{self.name} took no byte for {WRITE_TIMEOUT_S:g} s{tail(bytes(self._said))}"
                ) from None
            except ConnectionError:
                raise self._ended() from None
            rest = rest[sent:]

    def clock(self) -> Clock:
        """The board's time now."""
        answer = self._ask("clock")
        return Clock(answer["nanoseconds"], answer["cycles"])

    def boot_nanoseconds(self) -> int:
        """From power-up to the USB serial port's appearance; 0 before that."""
        return self._ask("clock")["connected_nanoseconds"]

    def attach_microphone(self, order: dict[str, Any]) -> None:
        """Solder a microphone on, before the board has come up.

        Args:
            order: see emulated_microphone.attach.
        """
        self._ask(["microphone", order])

    def speak(self, file: Path) -> None:
        """Give the microphone other words to say, before the board has started it.

        Args:
            file: uint32, little endian, see microphone_sound.Sound.
        """
        self._ask(["speak", str(file)])

    def microphone_words(self) -> int:
        """Words that the microphone has begun to say."""
        return self._ask("position")["words"]

    def led(self) -> list[tuple[int, int]]:
        """The LED's changes since this was last called: (nanoseconds since power-up, 1 for on)."""
        return [(at, on) for at, on in self._ask(["led"])["edges"]]

    def press_reset(self) -> None:
        """Press the reset button: the board starts again, its flash as it is, its memory as good as lost."""
        self._ask(["reset"])

    def hold_bootsel(self, pressed: bool) -> None:
        """Press the button BOOTSEL, or let it go."""
        self._ask(["bootsel", pressed])

    def hold_pin(self, number: int, level: int | None) -> None:
        """Hold a pin at a level from outside; None lets it go."""
        self._ask(["pin", number, level])

    def cut_power(self, writes: int = 0) -> None:
        """Take the power away in the middle of a write to the flash: 1 is the next; 0: at once."""
        self._ask(["cut", writes])

    def has_power(self) -> bool:
        """Whether the power is still there."""
        return self._ask(["power"])["on"]

    def flash_writes(self) -> int:
        """How often the flash was written since power-up: pages programmed, sectors erased."""
        return self._ask(["power"])["writes"]

    def keep_flash(self, path: Path) -> Path:
        """Write the flash as it is now to a file; another EmulatedBoard starts from it."""
        self._ask(["flash", str(path.absolute())])
        return path

    def sample(self, elf: Path, functions: Sequence[str]) -> None:
        """Begin to sample where the board spends its cycles.

        Args:
            elf: of the firmware.
            functions: those to look for among the callers.
        """
        self._ask(["sample", str(elf.absolute()), list(functions)])

    def samples(self) -> Samples:
        """End it and return what was found."""
        answer = self._ask("samples")
        places = [tuple(place) for place in answer["places"]]
        sent = [(cycles, bytes.fromhex(data)) for cycles, data in answer["sent"]]
        return Samples(places, answer["place"], answer["cycles"], answer["us"], answer["began"], sent)

    def trace(self, elf: Path, every_ns: int, warm_cycles: int, cycles: int) -> None:
        """Begin to count what the flash cache fetches: see flash_cache.Tracer."""
        self._ask(["trace", str(elf.absolute()), every_ns, warm_cycles, cycles])

    def traced(self) -> Fetches:
        """End it and return what was counted."""
        return Fetches(**self._ask("traced"))

    def _ask(self, order: object) -> dict[str, Any]:
        try:
            self._control.sendall(json.dumps(order).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                more = self._control.recv(65536)
                if not more:
                    raise self._ended()
                answer += more
        except TimeoutError:
            raise BoardError(f"the emulator did not answer in {CONTROL_TIMEOUT_S:g} s") from None
        except ConnectionError:
            raise self._ended() from None
        return json.loads(answer)

    def uart_stream(self) -> "UartStream":
        """The other end of the UART's wire. Closing it closes the board."""
        assert self._uart is not None, "give the UART's number to the board first"
        return UartStream(self, self._uart)

    def prompt(self, timeout_s: float = BOOT_TIMEOUT_S) -> RawPrompt:
        """Wait for MicroPython to come up and take its raw prompt.

        A board that is still starting is kept from listening first by the pin of its safe mode.
        """
        pin = load_board(EMULATED_BOARD).tables["safe_mode"]["pin"]
        self.hold_pin(pin, 0)
        try:
            return RawPrompt(self, timeout_s)
        finally:
            self.hold_pin(pin, None)

    def _ended(self) -> BoardError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_TIMEOUT_S)
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        why = f": {lines[-1]}" if lines else ""
        return BoardError(f"the emulator ended{why}{tail(bytes(self._said))}")

    def close(self) -> None:
        """Stop the emulator."""
        self._stream.close()
        self._control.close()
        if self._uart is not None:
            self._uart.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def __enter__(self) -> "EmulatedBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class UartStream:
    """An emulated board's UART as a stream of bytes.

    Args:
        board: whose; it is closed with the stream.
        wire: the host's end.
    """

    name = "the emulated RP2040's UART"

    def __init__(self, board: EmulatedBoard, wire: socket.socket) -> None:
        self._board, self._wire = board, wire
        self._wire.settimeout(WRITE_TIMEOUT_S)

    def read(self, count: int, timeout_s: float) -> bytes:
        """Up to count bytes; b"" if none came in time."""
        if not select.select([self._wire], [], [], max(timeout_s, 0))[0]:
            return b""
        data = self._wire.recv(count)
        if not data:
            raise BoardError(f"{self.name}: the emulator ended")
        return data

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._wire.sendall(data)
        except OSError:
            raise BoardError(f"{self.name} takes nothing any more") from None

    def close(self) -> None:
        """Stop the emulator."""
        self._board.close()
