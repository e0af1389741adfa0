"""The LED says how the board is. docs/firmware.md shows the patterns; this is their only home."""

import stapes_spec as spec

from stapes.link.clock import elapsed

SLOT_MS = 100

# What is on (#) and off (.) in each slot, over and over.
PATTERNS = {
    "off": ".",
    "listening": "#...................",
    "speech": "#",
    "deaf": "#.#.................",
    "no_model": "#.#.#...............",
    "refused": "#.#.#.#.............",
    "storage": "#.#.#.#.#...........",
    "restarted": "#.#.#.#.#.#.........",
    "fault": "#.",
}

_OF_ERROR = {
    spec.ERROR_FILE: "no_model",
    spec.ERROR_ROMFS_MISSING: "no_model",
    spec.ERROR_ROMFS_DAMAGED: "no_model",
    spec.ERROR_STORAGE_FULL: "storage",
    spec.ERROR_STORAGE: "storage",
    spec.ERROR_MICROPHONE: "deaf",
    spec.ERROR_WATCHDOG: "restarted",
    spec.ERROR_RESTARTS: "restarted",
}


def pattern_of(code):
    """Return the name of the pattern that shows an error.

    Args:
        code: int, of spec.ERRORS.
    """
    refused = spec.ERROR_MODEL_TRUNCATED <= code <= spec.ERROR_GRAPH_SIZE
    return _OF_ERROR.get(code, "refused" if refused else "fault")


class Led:
    """Shows one pattern, or none where the board has no LED. Allocates nothing after show().

    Args:
        pin: function (int), sets the LED; None: there is none.
        now_ms: int, the clock.
    """

    def __init__(self, pin, now_ms):
        self._pin = pin
        self._name = self._usual = "off"
        self._slots = PATTERNS["off"]
        self._began_ms = now_ms
        self._for_ms = 0
        self._lit = 0
        if pin:
            pin(0)

    @property
    def name(self):
        """str: the pattern shown."""
        return self._name

    def show(self, name, now_ms, for_ms=0):
        """Show a pattern from its begin, unless it is shown already.

        Args:
            name: str, of PATTERNS.
            now_ms: int.
            for_ms: int, so long only, then again what was shown before; 0 for good.
        """
        if for_ms:
            self._for_ms = for_ms
        else:
            self._usual = name
            if self._for_ms:
                return
        self._begin(name, now_ms)

    def _begin(self, name, now_ms):
        if name != self._name:
            self._name = name
            self._slots = PATTERNS[name]
            self._began_ms = now_ms
        self.tick(now_ms)

    def tick(self, now_ms):
        """Set the LED as the pattern has it now."""
        since = elapsed(now_ms, self._began_ms)
        if self._for_ms and since >= self._for_ms:
            self._for_ms = 0
            self._begin(self._usual, now_ms)
            return
        lit = self._slots[since // SLOT_MS % len(self._slots)] == "#"
        if lit != self._lit:
            self._lit = lit
            if self._pin:
                self._pin(lit)


def board_led(settings):
    """Return the function that sets the board's LED, or None.

    Args:
        settings: dict, board.LED.
    """
    try:
        from machine import Pin

        pin = Pin(settings["pin"], Pin.OUT)
    except (ImportError, AttributeError, KeyError, ValueError):
        return None
    low = settings.get("active_low", 0)

    def light(on):
        pin.value(1 - on if low else on)

    return light
