"""The watchdog of RP2040 and RP2350: restarts a board whose program hangs, and remembers where it hung.

Its scratch registers outlive a reset that it causes, but no loss of power. The SDK leaves 0 to 3 to programs, and in 4
it marks a watchdog that was armed: a reset that a program asked for has no mark there.
Reference: RP2040 datasheet, 4.7; RP2350 datasheet, 12.9: the same registers at another address.
"""

_CTRL = 0x00
_REASON = 0x08
_STAGE = 0x0C  # scratch 0
_HANGS = 0x10  # scratch 1: in a row
_MARK = 0x1C  # scratch 4
_ENABLE = 1 << 30
_TIMED_OUT = 0x6AB73121
_HANGS_MAGIC = 0x57A90000

STARTING, LINK, MICROPHONE, RECOGNISER, PROGRAM = range(1, 6)
STAGES = {
    STARTING: "while it started",
    LINK: "in the link",
    MICROPHONE: "while it waited for the microphone",
    RECOGNISER: "in the recogniser",
    PROGRAM: "in the program that takes the events",
}


class Watchdog:
    """Where there is none, nothing happens.

    Args:
        settings: dict, board.WATCHDOG.
        registers: what reads and writes 32 bits at an address: machine.mem32.
        start: function (timeout_ms) -> object with feed(): machine.WDT.

    Attributes:
        hung: str, where the program hung that the watchdog has ended; "" if it was something else.
        hangs: int, how often in a row.
    """

    def __init__(self, settings, registers=None, start=None):
        self._timeout_ms = settings.get("timeout_ms", 0)
        self._registers = registers if self._timeout_ms else None
        self._start = start
        self._timer = None
        self.hung = ""
        self.hangs = 0
        if self._registers is None:
            return
        base = settings["base"]
        self._ctrl, self._reason, self._stage = base + _CTRL, base + _REASON, base + _STAGE
        self._hangs, self._mark = base + _HANGS, base + _MARK
        self._look_back()

    def _look_back(self):
        registers = self._registers
        count = registers[self._hangs] ^ _HANGS_MAGIC
        if registers[self._reason] and registers[self._mark] == _TIMED_OUT:
            self.hung = STAGES.get(registers[self._stage], "in a place unknown")
            self.hangs = 1 + (count if 0 <= count < 255 else 0)
        registers[self._hangs] = _HANGS_MAGIC ^ self.hangs
        registers[self._mark] = 0  # so that a soft reset does not tell it again

    def start(self):
        """Begin to watch: from now on feed() must come in time."""
        if self._registers is not None:
            self.at(STARTING)
            self._timer = self._start(timeout=self._timeout_ms)

    def feed(self):
        """Say that the program is well."""
        if self._timer is not None:
            self._timer.feed()

    def at(self, stage):
        """Say what the program does next."""
        if self._registers is not None:
            self._registers[self._stage] = stage

    def well(self):
        """Say that the program has run for so long that hangs before do not count any more."""
        if self._registers is not None and self.hangs:
            self.hangs = 0
            self._registers[self._hangs] = _HANGS_MAGIC

    def stop(self):
        """Watch no more: a prompt feeds no watchdog."""
        if self._timer is not None:
            self._registers[self._ctrl] = self._registers[self._ctrl] & ~_ENABLE
            self._registers[self._mark] = 0
            self._timer = None


def board_watchdog(settings):
    """Return the board's Watchdog.

    Args:
        settings: dict, board.WATCHDOG.
    """
    try:
        from machine import WDT, mem32
    except ImportError:
        return Watchdog({})
    return Watchdog(settings, mem32, WDT)
