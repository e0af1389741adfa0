"""What a recording costs on the emulated board: cycles, memory, flash traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import stapes_spec as spec

from ..audio import read_recording
from ..convert.branches import ARBITRATOR, HEAVY, LIGHT
from ..convert.inspect import describe, totals
from ..device.board_model import model_for_board
from ..device.emulator import EmulatedBoard
from ..device.firmware import build_firmware
from ..device.opening import EMULATED_BOARD, open_session
from ..device.session import Progress, Session
from ..transcript import Transcript, transcribe
from .listening import hear
from .profile import WANTED, Profile, link_profile

# Sequential reads of a quad flash at the usual 62.5 MHz. The emulator does not model the flash
# cache, so the weights' bytes are charged at this rate on top of its cycles.
FLASH_BYTES_PER_S = 31_000_000
CLOCKS_HZ = (125_000_000, 133_000_000)  # as MicroPython sets it; the RP2040's rated speed


@dataclass(frozen=True)
class BoardCost:
    """What one utterance cost on the emulated RP2040.

    Attributes:
        audio_ms: heard by the board, flushed silence included.
        steps: of 30 ms.
        cycles: of the core, awake, from the first sample to the last event; the link's included, if there was one.
        state_bytes: RAM of the recogniser: front end, model, search, lattice.
        flash_bytes_per_step: weights read from flash, mean over the steps.
        joint_evaluations: of the whole utterance.
        boot_ms: from power-up to the USB serial port.
        profile: where the cycles went.
    """

    audio_ms: int
    steps: int
    cycles: int
    state_bytes: int
    flash_bytes_per_step: float
    joint_evaluations: int
    boot_ms: float
    profile: Profile

    @property
    def cycles_per_step(self) -> float:
        """Mean cycles per step of 30 ms."""
        return self.cycles / self.steps

    def step_ms(self, cycles: float, clock_hz: int) -> float:
        """Milliseconds of a step of so many cycles, reading the weights from flash included, as much as on average."""
        return 1000 * (cycles / clock_hz + self.flash_bytes_per_step / FLASH_BYTES_PER_S)

    def real_time_factor(self, clock_hz: int) -> float:
        """Seconds of work per second of audio: cycles at a clock, and reading the weights from flash."""
        return self.step_ms(self.cycles_per_step, clock_hz) / spec.FRONTEND_STEP_MS


def flash_bytes_per_step(model: bytes, statistics: Mapping[str, int]) -> float:
    """Return how many bytes of weights and biases one step reads, on average.

    Args:
        model: a .tflite file.
        statistics: of an utterance: steps, light_steps (of a model with branches), joint_evaluations.
    """
    rows = describe(model)
    steps, light = statistics["steps"], statistics.get("light_steps", 0)
    parts = {
        HEAVY: steps - light,
        LIGHT: light,
        ARBITRATOR: steps,
        "joint": statistics["joint_evaluations"],
    }
    return sum(totals(rows, name).constant_bytes * runs for name, runs in parts.items()) / steps


def measure_listening(recording: Path, model: Path, grammar: Path) -> tuple[BoardCost, str]:
    """Recognise a recording that lies in the board's own flash: what a board with a microphone spends.

    Args:
        recording: 16 kHz mono.
        model: .tflite.
        grammar: .stg.
    Returns:
        (its cost, the words).
    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    heard = hear(read_recording(recording), model, grammar, build_firmware(EMULATED_BOARD))
    steps, joints = heard.statistics["steps"], heard.statistics["joint_evaluations"]
    cost = BoardCost(
        audio_ms=steps * spec.FRONTEND_STEP_MS,
        steps=steps,
        cycles=heard.cycles,
        state_bytes=heard.state_bytes,
        flash_bytes_per_step=flash_bytes_per_step(model_for_board(model), heard.statistics),
        joint_evaluations=joints,
        boot_ms=heard.boot_ms,
        profile=heard.profile,
    )
    return cost, heard.text


def measure(
    recording: Path, model: Path, grammar: Path, progress: Progress = lambda _: None
) -> tuple[BoardCost, Transcript]:
    """Recognise a recording on the emulated RP2040 and say what it cost.

    Args:
        recording: 16 kHz mono.
        model: .tflite.
        grammar: .stg.
        progress: called with the samples sent so far.
    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    samples = read_recording(recording)
    with open_session("emulator", model, grammar) as session:
        assert isinstance(session, Session) and isinstance(session.stream, EmulatedBoard)
        board = session.stream
        about = session.connect()
        board.sample(build_firmware(EMULATED_BOARD).elf, WANTED)
        before = board.clock()
        transcript = transcribe(samples, session, progress=progress)
        spent = board.clock() - before
        profile = link_profile(board.samples())
        boot_ms = board.boot_nanoseconds() / 1e6
    statistics = transcript.statistics
    steps, joints = statistics["steps"], statistics["joint_evaluations"]
    cost = BoardCost(
        audio_ms=steps * spec.FRONTEND_STEP_MS,
        steps=steps,
        cycles=spent.cycles,
        state_bytes=about["bytes"],
        flash_bytes_per_step=flash_bytes_per_step(model_for_board(model), statistics),
        joint_evaluations=joints,
        boot_ms=boot_ms,
        profile=profile,
    )
    return cost, transcript
