"""Opens a session with whatever `--on` names."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import UserError
from .addresses import is_network, load_key, open_stream
from .board_model import model_for_board
from .emulator import EMULATED_BOARD, EmulatedBoard
from .firmware import build_firmware
from .host import HostSession
from .program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD, UART, service_program, uart_program
from .romfs import firmware_with_romfs
from .serial_port import SerialStream
from .session import Session
from .stream import ByteStream, RawPrompt
from .unix import UnixStream, native_module

_EMULATED = ("emulator", "emulator+uart")
_EMULATOR_SLOWNESS = 15.0
_UART_SLOWNESS = 40.0  # each byte on the wire is an interrupt
_REFERENCE_SLOWNESS = 300.0


def open_session(
    on: str,
    model: Path,
    grammar: Path,
    speed: float | None = None,
    names: Mapping[str, str] | None = None,
) -> Session | HostSession:
    """Return a session, not yet connected, that recognises with a model and a grammar.

    Args:
        on: "host", "unix", "emulator", "emulator+uart" (the same over its UART instead of USB), a serial port, or
            tcp:// or tls:// with the address of a board that listens by itself. A board at a port or on the network
            uses the model and the grammar in its ROMFS, whatever is given here.
        model: a .tflite file.
        grammar: a .stg file.
        speed: None for as fast as it goes, 1.0 for as fast as it was spoken.
        names: path of a file given here to the name that errors call it.
    Raises:
        UserError, DeviceError: it cannot be opened.
    """
    names = dict(names or {})
    if on == "host":
        return HostSession(model, grammar, speed, names)
    if on == "unix":
        native = native_module()
        stream = UnixStream(str(model), str(grammar), native)
        return Session(stream, on, speed=speed, slowness=1.0 if native else _REFERENCE_SLOWNESS, files=names)
    if on in _EMULATED:
        return _open_emulator(on, str(model), str(grammar), speed, names)
    if is_network(on):
        return Session(open_stream(on), on.partition("?")[0], speed=speed, key=load_key(None))
    program = service_program(MODEL_ON_BOARD, GRAMMAR_ON_BOARD)
    return _start(SerialStream(on), program, name=on, speed=speed, slowness=1.0, files={})


def _open_emulator(on: str, model: str, grammar: str, speed: float | None, names: dict[str, str]) -> Session:
    """Power up an emulated board whose ROMFS holds model and grammar."""
    files = {MODEL_ON_BOARD: model, GRAMMAR_ON_BOARD: grammar}
    known = {there: names.get(here, here) for there, here in files.items()}
    contents: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(Path(model)),
        Path(GRAMMAR_ON_BOARD).name: Path(grammar),
    }
    firmware = build_firmware(EMULATED_BOARD).uf2
    with tempfile.TemporaryDirectory() as folder:  # once the board shows its prompt, it has read its flash
        flash = firmware_with_romfs(firmware, contents, Path(folder) / "flash.uf2", EMULATED_BOARD)
        if on == "emulator":
            program = service_program(MODEL_ON_BOARD, GRAMMAR_ON_BOARD, idle_ms=-1)
            board = EmulatedBoard(flash)
            return _start(board, program, name=on, speed=speed, slowness=_EMULATOR_SLOWNESS, files=known)
        board = EmulatedBoard(flash, UART)
        _prompt(board, uart_program(MODEL_ON_BOARD, GRAMMAR_ON_BOARD), _EMULATOR_SLOWNESS)
        return Session(board.uart_stream(), on, speed=speed, slowness=_UART_SLOWNESS, files=known)


def _start(
    stream: ByteStream, program: str, *, name: str, speed: float | None, slowness: float, files: dict[str, str]
) -> Session:
    """Start the service on a board that shows MicroPython's prompt."""
    heard = _prompt(stream, program, slowness)
    return Session(stream, name, speed=speed, slowness=slowness, files=files, heard=heard)


def _prompt(stream: ByteStream, program: str, slowness: float) -> bytes:
    """Start a program at a board's prompt; return what it has said already."""
    try:
        timeout_s = 10.0 * slowness
        prompt = stream.prompt(timeout_s) if isinstance(stream, EmulatedBoard) else RawPrompt(stream, timeout_s)
        prompt.start(program)
    except BaseException:
        stream.close()
        raise
    return prompt.leftover()


def is_port(on: str) -> bool:
    """Return whether on looks like a serial port."""
    return "/" in on or on.upper().startswith("COM") or "://" in on


def check_target(on: str) -> str:
    """Return on, or raise UserError where it is neither a known name nor looks like a port."""
    known = ("host", "unix", *_EMULATED)
    if on in known or is_port(on):
        return on
    raise UserError("no such board", on, f"name a serial port, or one of: {', '.join(known)}")
