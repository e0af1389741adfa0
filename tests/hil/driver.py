"""One driver for three kinds of device: MicroPython's unix port, an emulated RP2040, a real board at a serial port.

Each listens as the image does from power-up on (stapes.startup), serves the link, and runs programs at its prompt.
"""

import abc
import base64
import contextlib
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path

from stapes_tools.device.board_model import model_for_board
from stapes_tools.device.emulator import EmulatedBoard
from stapes_tools.device.firmware import build_firmware
from stapes_tools.device.romfs import firmware_with_romfs
from stapes_tools.device.serial_port import SerialStream
from stapes_tools.device.session import Session
from stapes_tools.device.stream import RawPrompt
from stapes_tools.device.unix import interpreter, module_path, native_module
from stapes_tools.errors import BoardError, StapesError
from stapes_tools.grammars import compiled
from stapes_tools.models import default_model

REPO = Path(__file__).resolve().parents[2]
GOLDEN = REPO / "tests" / "golden"
GRAMMAR = REPO / "models" / "grammars" / "coffee.yaml"
EMULATOR_SLOWNESS = 60.0  # on a busy computer
_POLL_S = 0.2
_BLOCK = 1024
_AWAY_S = 30.0  # a real board's port comes back within


def model():
    """Path of the model that the devices hear with."""
    return default_model(GRAMMAR)


def golden_files():
    """Name to contents: the golden vectors and the program that replays them."""
    files = {path.name: path.read_bytes() for path in sorted((GOLDEN / "vectors").glob("*.trace"))}
    return {"run_golden.py": (GOLDEN / "run_golden.py").read_bytes(), **files}


def rom_files(golden=True):
    """What lies in the emulated board's ROMFS."""
    files = {"model.tflite": model_for_board(model()), "grammar.stg": compiled(GRAMMAR).read_bytes()}
    return {**files, **golden_files()} if golden else files


class Device(abc.ABC):
    """What the tests see.

    Attributes:
        kind: str, "unix", "emulator" or "board".
        slowness: wall seconds that a second of the device takes.
        golden: where it has the golden vectors.
    """

    kind = ""
    slowness = 1.0
    golden = "/rom"
    name = ""

    @abc.abstractmethod
    def run(self, program, timeout_s=60.0):
        """Run a program in an interpreter that has run nothing else; return what it printed."""

    @abc.abstractmethod
    def listen(self, main=None):
        """Restart the device, so that it listens: as the image does, or as the source of a main.py has it."""

    @abc.abstractmethod
    def stream(self):
        """Return the ByteStream to what listens. It is the device's: closing it does not end that."""

    def session(self):
        """Return a Session, not yet connected, with what listens."""
        return Session(self.stream(), self.name, slowness=self.slowness)

    def led(self):
        """Return the LED's changes, or None where nobody sees it."""
        return None

    def close(self):  # noqa: B027 - not every device holds something
        """Let it go."""


class Borrowed:
    """A stream that stays open when its user closes it, optionally with faults in both directions.

    Args:
        stream: ByteStream.
        damage: function bytes -> bytes, applied to what passes.
    """

    def __init__(self, stream, damage=lambda data: data):
        self._stream = stream
        self._damage = damage
        self.name = stream.name

    def read(self, count, timeout_s):
        return self._damage(self._stream.read(count, timeout_s))

    def write(self, data):
        self._stream.write(self._damage(data))

    def close(self):
        pass


class UnixDevice(Device):
    """A process of MicroPython's unix port, its standard input and output the serial port."""

    kind = name = "unix"
    golden = str(GOLDEN / "vectors")

    def __init__(self):
        self._native = native_module()
        self._environment = dict(os.environ, MICROPYPATH=f"{GOLDEN}:{module_path(self._native)}")
        self._process = None
        self._files = {"model": str(model()), "grammar": str(compiled(GRAMMAR))}
        self.slowness = 1.0 if self._native else 300.0

    def run(self, program, timeout_s=60.0):
        done = subprocess.run(
            [interpreter(), "-X", "heapsize=16M", "-c", program],
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=timeout_s * self.slowness,
            check=False,
        )
        if done.returncode:
            raise BoardError(f"the program failed: {(done.stdout + done.stderr).strip()[-300:]}", self.name)
        return done.stdout

    def listen(self, main=None):
        self.close()
        program = main or "from stapes.startup import run\nrun()\n"
        files = ", ".join(f"{name}={path!r}" for name, path in self._files.items())
        program = program.replace("run(", "run_here(").replace("import run\n", "import run\n" + _RUN_HERE.format(files))
        self._process = subprocess.Popen(
            [interpreter(), "-X", "heapsize=16M", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            bufsize=0,
        )

    def stream(self):
        return Borrowed(self)

    def read(self, count, timeout_s):
        if not select.select([self._process.stdout], [], [], max(timeout_s, 0))[0]:
            return b""
        data = os.read(self._process.stdout.fileno(), count)
        if not data:
            raise BoardError("the process ended", self.name)
        return data

    def write(self, data):
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            raise BoardError("the process ended", self.name) from None

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


# The unix port has no ROMFS: model and grammar lie elsewhere.
_RUN_HERE = """
def run_here(*functions, **options):
    run(*functions, **dict(dict({}), **options))
"""


class PromptDevice(Device):
    """A board with MicroPython's prompt and a file system of its own."""

    @abc.abstractmethod
    def _open(self):
        """Return the ByteStream to the board."""

    @abc.abstractmethod
    def _restart(self):
        """Start the board again, so that it runs its main.py."""

    def prompt(self):
        """Interrupt what runs, and take the prompt."""
        return RawPrompt(self._open(), 10.0 * self.slowness)

    def run(self, program, timeout_s=60.0):
        return self.prompt().run(program, timeout_s * self.slowness)

    def put(self, prompt, path, contents):
        """Write a file of the board; None removes it."""
        if contents is None:
            prompt.run(f"import os\ntry: os.remove({path!r})\nexcept OSError: pass", 10 * self.slowness)
            return
        prompt.run(f"f = open({path!r}, 'wb')\nfrom binascii import a2b_base64 as d", 10 * self.slowness)
        for at in range(0, len(contents), _BLOCK):
            part = base64.b64encode(contents[at : at + _BLOCK]).decode()
            prompt.run(f"f.write(d({part!r}))", 10 * self.slowness)
        prompt.run("f.close()", 10 * self.slowness)

    def listen(self, main=None):
        if main is not None or self._has_main:
            self.put(self.prompt(), "/main.py", main.encode() if main else None)
            self._has_main = main is not None
        self._restart()

    _has_main = False

    def stream(self):
        return Borrowed(self._open())


class EmulatedDevice(PromptDevice):
    """An emulated RP2040.

    Args:
        files: of its ROMFS; by default model, grammar and golden vectors.
        flash: the file of a flash that was kept, in place of files.
    """

    kind = name = "emulator"
    slowness = EMULATOR_SLOWNESS

    def __init__(self, files=None, flash=None):
        self.image = build_firmware("rp2040_pico")
        self._folder = tempfile.TemporaryDirectory()
        if flash is None:
            flash = Path(self._folder.name) / "flash.uf2"
            firmware_with_romfs(self.image.uf2, rom_files() if files is None else files, flash)
        self.board = EmulatedBoard(flash)

    def _open(self):
        return self.board

    def prompt(self):
        return self.board.prompt(10.0 * self.slowness)

    def _restart(self):
        self.board.press_reset()
        self.wait_for_led()

    def wait_for_led(self):
        """Wait until the board shows how it is: before that it takes no notice of a host, and the host asks seldom."""
        self.led()
        deadline = time.monotonic() + 10.0 * self.slowness
        while not any(lit for _, lit in self.led()):
            if time.monotonic() > deadline:
                raise BoardError("its LED stays dark", self.name)
            time.sleep(_POLL_S)

    def led(self):
        return self.board.led()

    def close(self):
        self.board.close()
        self._folder.cleanup()


class SerialDevice(PromptDevice):
    """A real board, flashed with stapes.uf2 of `make firmware`."""

    kind = "board"
    golden = "/golden"

    def __init__(self, port):
        self.name = port
        self._stream = SerialStream(port)
        self._has_main = True  # for all we know

    def _open(self):
        return self._stream

    def _restart(self):
        with contextlib.suppress(BoardError):
            self.prompt().start("import machine\nmachine.reset()")
        self._stream.close()
        deadline = time.monotonic() + _AWAY_S
        while True:
            time.sleep(1.0)
            try:
                self._stream = SerialStream(self.name)
                return
            except StapesError:
                if time.monotonic() > deadline:
                    raise

    def put_golden(self):
        """Put the golden vectors on its file system."""
        prompt = self.prompt()
        prompt.run("import os\ntry: os.mkdir('/golden')\nexcept OSError: pass", 10)
        for name, contents in golden_files().items():
            self.put(prompt, f"/golden/{name}", contents)

    def drop_golden(self):
        """Remove them."""
        self.run("import os\nfor n in os.listdir('/golden'): os.remove('/golden/' + n)\nos.rmdir('/golden')")

    def close(self):
        self._stream.close()


def open_device(where):
    """Return the device that `--board` names: "unix", "emulator" or a serial port."""
    if where == "unix":
        return UnixDevice()
    return EmulatedDevice() if where == "emulator" else SerialDevice(where)
