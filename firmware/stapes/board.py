"""The board's own figures: what its board.toml says, frozen into our images as the module board_toml.

Attributes:
    LED: dict, pin: what machine.Pin takes; active_low: 1 where it lights at 0.
    WATCHDOG: dict, timeout_ms, and base: the address of its registers.
    SAFE_MODE: dict, pin: pulled to ground it keeps main.py from running; bootsel: 1 where the button ends listening.
    MICROPHONE: dict, see docs/microphones.md.
    JOURNAL: str, the file that faults are kept in.
    Each is empty on a board that is not ours.
"""

try:
    import board_toml as _board
except ImportError:
    _board = None

LED = getattr(_board, "LED", {})
WATCHDOG = getattr(_board, "WATCHDOG", {})
SAFE_MODE = getattr(_board, "SAFE_MODE", {})
MICROPHONE = getattr(_board, "MICROPHONE", {})
JOURNAL = getattr(_board, "JOURNAL", {}).get("path", "")
