"""What a recording costs on the emulated board: cycles, memory, flash traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import stapes_spec as spec

from ..audio import read_recording
from ..convert.branches import ARBITRATOR, HEAVY, LIGHT
from ..convert.inspect import describe, totals
from ..device.board_model import model_for_board
from ..device.emulator import EMULATED_BOARD, EmulatedBoard
from ..device.firmware import build_firmware
from ..device.flash_cache import WORD_CYCLES
from ..device.opening import open_session
from ..device.program import GRAMMAR_ON_BOARD, MODEL_ON_BOARD
from ..device.session import Progress, Session
from ..transcript import Transcript, transcribe
from .boot import boot_ms
from .emulated import CLOCK_MHZ
from .listening import hear
from .profile import WANTED, Profile, link_profile

# A quad flash at the usual 62.5 MHz, read in one go.
FLASH_BYTES_PER_S = 31_000_000
# The cache's fetches are counted in part of the time, each time from an empty cache on that is filled first.
FOLLOWED = {"every_ns": 200_000_000, "warm_cycles": 2_000_000, "cycles": 2_000_000}
_FOLLOWED_ON_A_LINK = {
    "every_ns": 100_000_000,
    "warm_cycles": 200_000,
    "cycles": 300_000,
}  # the host will not wait long
CLOCKS_HZ = (125_000_000, 133_000_000)  # as MicroPython sets it; the RP2040's rated speed


@dataclass(frozen=True)
class BoardCost:
    """What one utterance cost on the emulated RP2040.

    Attributes:
        audio_ms: heard by the board, flushed silence included.
        steps: of 30 ms.
        cycles: of the core, awake, from the first sample to the last event; the link's included, if there was one.
        ram_bytes: of recogniser (front end, model, search, lattice), listener and microphone, and of the kernels' own
            variables; over a link that of the recogniser alone. Code that lies in RAM is not in it.
        flash_bytes_per_step: weights and biases read, mean over the steps; most in one go, while the core works.
        fetched_per_cycle: words that the flash cache has to fetch, per cycle: the core stands still for each.
        joint_evaluations: of the whole utterance.
        boot_ms: from power-up until the board listens; None: not measured.
        profile: where the cycles went.
        final_to_wire_us: microseconds of the board's clock from the final end-pointer's decision, or from the order
            to finish, to the last byte of the lattice on its way to the host; None: nobody was told.
    """

    audio_ms: int
    steps: int
    cycles: int
    ram_bytes: int
    flash_bytes_per_step: float
    fetched_per_cycle: float
    joint_evaluations: int
    boot_ms: float | None
    profile: Profile
    final_to_wire_us: int | None = None

    @property
    def cycles_per_step(self) -> float:
        """Mean cycles per step of 30 ms."""
        return self.cycles / self.steps

    def step_ms(self, cycles: float, clock_hz: int) -> float:
        """Milliseconds of a step of so many cycles, the cache's fetches included, as many as on average."""
        return 1000 * cycles * (1 + WORD_CYCLES * self.fetched_per_cycle) / clock_hz

    def final_to_wire_ms(self, clock_hz: int) -> float | None:
        """Milliseconds from the final decision to the lattice's last byte on the wire, at a clock."""
        return None if self.final_to_wire_us is None else self.final_to_wire_us * CLOCK_MHZ * 1000 / clock_hz

    def real_time_factor(self, clock_hz: int) -> float:
        """Seconds of work per second of audio: cycles at a clock, those of waiting for flash included."""
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


def measure_listening(
    recording: Path, model: Path, grammar: Path, source: str, *, boot: bool = True
) -> tuple[BoardCost, str]:
    """Recognise a recording without a link: what a board that listens spends.

    Args:
        recording: 16 kHz mono.
        model: .tflite.
        grammar: .stg.
        source: listening.MICROPHONE or FLASH.
        boot: measure how long it takes to boot, too.
    Returns:
        (its cost, the words).
    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    heard = hear(
        read_recording(recording), model, grammar, build_firmware(EMULATED_BOARD), followed=FOLLOWED, source=source
    )
    steps, joints = heard.statistics["steps"], heard.statistics["joint_evaluations"]
    cost = BoardCost(
        audio_ms=steps * spec.FRONTEND_STEP_MS,
        steps=steps,
        cycles=heard.cycles,
        ram_bytes=heard.ram_bytes,
        flash_bytes_per_step=flash_bytes_per_step(model_for_board(model), heard.statistics),
        fetched_per_cycle=heard.fetched_per_cycle,
        joint_evaluations=joints,
        boot_ms=_boot_ms(model, grammar) if boot else None,
        profile=heard.profile,
        final_to_wire_us=None,
    )
    return cost, heard.text


def _boot_ms(model: Path, grammar: Path) -> float:
    files: dict[str, Path | bytes] = {
        Path(MODEL_ON_BOARD).name: model_for_board(model),
        Path(GRAMMAR_ON_BOARD).name: grammar,
    }
    return boot_ms(build_firmware(EMULATED_BOARD), files)


def measure(
    recording: Path, model: Path, grammar: Path, progress: Progress = lambda _: None, *, boot: bool = True
) -> tuple[BoardCost, Transcript]:
    """Recognise a recording that the host sends to the emulated RP2040, and say what it cost.

    Args:
        recording: 16 kHz mono.
        model: .tflite.
        grammar: .stg.
        progress: called with the samples sent so far.
        boot: measure how long it takes to boot, too.
    Raises:
        UserError, BoardError, DeviceError: anything that is wrong.
    """
    samples = read_recording(recording)
    with open_session("emulator", model, grammar) as session:
        assert isinstance(session, Session) and isinstance(session.stream, EmulatedBoard)
        board = session.stream
        about = session.connect()
        elf = build_firmware(EMULATED_BOARD).elf
        board.sample(elf, WANTED)
        board.trace(elf, **_FOLLOWED_ON_A_LINK)
        before = board.clock()
        transcript = transcribe(samples, session, progress=progress)
        spent = board.clock() - before
        profile = link_profile(board.samples())
        fetched = board.traced().fetched_per_cycle
        final_to_wire_us = session.state()["final_to_wire_us"]
    statistics = transcript.statistics
    steps, joints = statistics["steps"], statistics["joint_evaluations"]
    cost = BoardCost(
        audio_ms=steps * spec.FRONTEND_STEP_MS,
        steps=steps,
        cycles=spent.cycles,
        ram_bytes=about["bytes"],
        flash_bytes_per_step=flash_bytes_per_step(model_for_board(model), statistics),
        fetched_per_cycle=fetched,
        joint_evaluations=joints,
        boot_ms=_boot_ms(model, grammar) if boot else None,
        profile=profile,
        final_to_wire_us=final_to_wire_us,
    )
    return cost, transcript
