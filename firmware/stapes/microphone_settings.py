"""What a board's microphone is: kinds as data, settings checked."""

import sys

import stapes_spec as spec

from stapes.errors import StapesError

LEFT = "left"
RIGHT = "right"
_CHANNELS = (LEFT, RIGHT)
_WHERE = "[microphone]"
_STEP_DB = 6
_MOST_GAIN_DB = 84
_POLE = 8  # of the high-pass: 10 Hz
_WORST_STEP_MS = 60

# bus; bits of a sample; how far it is from the top of its word; milliseconds until it hears well; usual gain in dB,
# which takes speech at an arm's length to where the models were trained.
# INMP441: 2^18 clocks from power-up, 256 ms. ICS-43434: 4462 clocks, then it fades in over 256 frames. SPH0645: changes
# its data on the rising edge, where others on the falling one, so that each bit is read one clock late. Then 60 ms for
# the high-pass.
KINDS = {
    "INMP441": ("i2s", 24, 0, 330, 24),
    "ICS-43434": ("i2s", 24, 0, 90, 24),
    "SPH0645": ("i2s", 18, 1, 120, 24),
    "PDM": ("pdm", 24, 0, 90, 18),
    "ADC": ("adc", 12, 20, 120, 0),
}
_PINS = {"i2s": ("sck", "ws", "sd"), "pdm": ("clock", "data"), "adc": ("pin",)}
_MOST_PIN = {"rp2": 29}
_ADC_PINS = {"rp2": (26, 29)}
_KNOWN = ("kind", "channel", "gain_db", "rate", "worst_step_ms", "driver", "state_machine")


class Settings:
    """A table [microphone], checked.

    Args:
        table: dict.
        platform: str, sys.platform of the board.
    Raises:
        StapesError: microphone_settings, with the detail.

    Attributes:
        kind, bus, channel, driver: str.
        pins: tuple of int, in the order sck, ws, sd; clock, data; pin.
        gain: int, steps of 6 dB.
        startup_steps: int, steps of 30 ms that are not heard at first.
        ring_steps: int, steps that the ring holds.
        state_machine: int, of the PIO.
        config: tuple, audio_init's.
    """

    def __init__(self, table, platform=sys.platform):
        self.kind = table.get("kind", "INMP441")
        if self.kind not in KINDS:
            raise _wrong("kind is %r, not one of %s" % (self.kind, ", ".join(sorted(KINDS))))
        self.bus, bits, shift, startup_ms, usual_db = KINDS[self.kind]
        self._refuse_unknown(table)
        self.channel = table.get("channel", LEFT)
        if self.channel not in _CHANNELS:
            raise _wrong("channel is %r, not left or right" % (self.channel,))
        if table.get("rate", spec.AUDIO_SAMPLE_RATE_HZ) != spec.AUDIO_SAMPLE_RATE_HZ:
            raise _wrong("rate is %r: models hear %d Hz" % (table["rate"], spec.AUDIO_SAMPLE_RATE_HZ))
        self.driver = self._driver(table, platform)
        self.pins = self._pins(table, platform)
        gain_db = _whole(table, "gain_db", usual_db, 0, _MOST_GAIN_DB)
        if gain_db % _STEP_DB:
            raise _wrong("gain_db is %d, no multiple of %d" % (gain_db, _STEP_DB))
        self.gain = gain_db // _STEP_DB
        self.state_machine = _whole(table, "state_machine", 0, 0, 7)
        worst_ms = _whole(table, "worst_step_ms", _WORST_STEP_MS, 1, 2000)
        # The step that is being heard, those that come meanwhile, and one for what is not whole.
        self.ring_steps = 2 + -(-worst_ms // spec.FRONTEND_STEP_MS)
        self.startup_steps = -(-startup_ms // spec.FRONTEND_STEP_MS)
        self.config = (shift, bits, 1 if self.bus == "adc" else 0, self.gain, _POLE)

    def _refuse_unknown(self, table):
        names = _KNOWN + _PINS[self.bus]
        for name in table:
            if name not in names:
                raise _wrong("%s is no setting of kind %s" % (name, self.kind))

    def _driver(self, table, platform):
        usual = "pio" if platform == "rp2" else "machine"
        driver = table.get("driver", usual)
        if driver not in ("pio", "machine") or (driver == "pio" and platform != "rp2"):
            raise _wrong("driver is %r; here it may be %s" % (driver, "pio or machine" if usual == "pio" else usual))
        if driver == "machine" and self.bus != "i2s":
            raise _wrong("kind %s needs driver pio, which is the RP2040's" % self.kind)
        return driver

    def _pins(self, table, platform):
        names = _PINS[self.bus]
        pins = tuple([_whole(table, name, None, 0, _MOST_PIN.get(platform, 48)) for name in names])
        for k, pin in enumerate(pins):
            if pin in pins[:k]:
                raise _wrong("pin %d is given for both %s and %s" % (pin, names[pins.index(pin)], names[k]))
        if platform == "rp2" and self.bus == "i2s" and pins[1] != pins[0] + 1:
            raise _wrong("ws is pin %d; it must be the one after sck, %d" % (pins[1], pins[0] + 1))
        low, high = _ADC_PINS.get(platform, (0, 48))
        if self.bus == "adc" and not low <= pins[0] <= high:
            raise _wrong("pin %d has no ADC; pins %d to %d have" % (pins[0], low, high))
        return pins


def _whole(table, name, usual, least, most):
    value = table.get(name, usual)
    if value is None:
        raise _wrong("%s is missing" % name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong("%s is %r, no whole number from %d to %d" % (name, value, least, most))
    return value


def _wrong(detail):
    return StapesError(spec.ERROR_MICROPHONE_SETTINGS, _WHERE, detail)
