"""What a board does from power-up on: it listens, tells hosts, shows on its LED how it is, and restarts if it hangs.

The image's main.py calls run(). Whatever is wrong - no model, one of another version, no microphone, a full file
system - becomes an event with code and advice and a pattern of the LED; a host at the link is served in any case.
"""

import sys

import stapes_spec as spec

from stapes import board
from stapes import event as kinds
from stapes import watchdog as stages
from stapes.errors import StapesError
from stapes.event import Event
from stapes.journal import Journal
from stapes.led import Led, board_led, pattern_of
from stapes.link.clock import elapsed
from stapes.listening import fault_of
from stapes.microphone import Microphone
from stapes.romfs import diagnose
from stapes.server import identity, ticks_ms
from stapes.station import Station
from stapes.transport import StandardTransport
from stapes.watchdog import board_watchdog

MODEL = "/rom/model.tflite"
GRAMMAR = "/rom/grammar.stg"
MOST_HANGS = 3  # in a row; then the board does not listen
_WELL_MS = 60000  # after so long hangs before do not count any more
_TELL_MS = 10000  # so long the LED shows what does not keep the board from listening
_PASSING = (spec.ERROR_WATCHDOG, spec.ERROR_STORAGE, spec.ERROR_STORAGE_FULL)
_BUTTON_MS = 1000
_BUTTON_TIMES = 2  # BOOTSEL held at so many looks in a row

_OURS = (KeyboardInterrupt, SystemExit)


class Stopped(KeyboardInterrupt):
    """Somebody holds the button: the prompt is wanted."""


class Outside:
    """What of the board is neither ear nor link: LED, watchdog, button, journal.

    Attributes:
        led: Led.
        watchdog: Watchdog.
        journal: Journal.
    """

    def __init__(self):
        self.watchdog = board_watchdog(board.WATCHDOG)
        self.led = Led(board_led(board.LED), ticks_ms())
        self.journal = Journal(board.JOURNAL)
        self._button = _button() if board.SAFE_MODE.get("bootsel") else None
        self._looked_ms = self._began_ms = ticks_ms()
        self._pressed = 0

    def tick(self):
        """Called in every turn of the loop: feeds the watchdog, moves the LED, looks at the button."""
        now = ticks_ms()
        self.watchdog.feed()
        self.watchdog.at(stages.LINK)
        self.led.tick(now)
        if elapsed(now, self._looked_ms) >= _BUTTON_MS:
            self._looked_ms = now
            self._look(now)

    def _look(self, now):
        if self._began_ms is not None and elapsed(now, self._began_ms) >= _WELL_MS:
            self._began_ms = None
            self.watchdog.well()
        if self._button is not None:
            self._pressed = self._pressed + 1 if self._button() else 0
            if self._pressed >= _BUTTON_TIMES:
                raise Stopped

    def show(self, error):
        """Show an error on the LED: for good, or for a while if the board listens all the same."""
        self.led.show(pattern_of(error.code), ticks_ms(), _TELL_MS if error.code in _PASSING else 0)

    def stop(self):
        """Leave everything as a prompt wants it."""
        self.watchdog.stop()
        self.led.show("off", ticks_ms())


class Ear(Station):
    """A Station that goes on when something fails.

    Args:
        outside: Outside.
        recognizer: Recognizer, or the StapesError for which there is none.
        microphone: or the StapesError for which there is none.
        transport: see transport.py.
    """

    def __init__(self, outside, recognizer, microphone, transport):
        self._outside = outside
        self._fault = recognizer if isinstance(recognizer, StapesError) else None
        self._told = []
        deaf = microphone if isinstance(microphone, StapesError) else None
        heard = None if self._fault or microphone is None or deaf else Staged(microphone, outside.watchdog)
        super().__init__(None if self._fault else recognizer, heard, transport)
        outside.led.show("listening", ticks_ms())
        for error in (self._fault, None if self._fault else deaf):
            if error:
                self.fail(error)

    def _about(self):
        return identity() if self._fault else super()._about()

    def _hearing(self):
        if self._fault:
            raise self._fault
        return super()._hearing()

    def fail(self, error, to_program=True):
        """Tell an error: in an event, on the LED, in the journal.

        Args:
            error: StapesError.
            to_program: bool, False keeps the event from the functions that take events: they are what failed.
        """
        self._tell(error, to_program)
        self._outside.show(error)
        try:
            self._outside.journal.write(error)
        except StapesError as full:
            self._tell(full, to_program)
            self._outside.show(full)

    def _tell(self, error, to_program):
        event = Event(kinds.ERROR, 0, error=error)
        if to_program:
            self._told.append(event)
        else:
            self.server.send_event(event)

    def _take(self):
        if self._told:
            event = self._told.pop(0)
            self.server.send_event(event)
            return event
        event = super()._take()
        if event is not None:
            self._show(event)
            self._outside.watchdog.at(stages.PROGRAM)
        return event

    def _show(self, event):
        led = self._outside.led
        if event.kind == kinds.SPEECH_START:
            led.show("speech", ticks_ms())
        elif event.kind in (kinds.STATISTICS, kinds.ERROR, kinds.LISTENING) and led.name == "speech":
            led.show("listening", ticks_ms())

    def _advance(self):
        self._outside.tick()
        try:
            return super()._advance()
        except StapesError as error:
            self._deafen(error)
        except OSError as error:
            self._deafen(StapesError(spec.ERROR_MICROPHONE, "", str(error)))
        return True

    def close(self):
        """Stop the microphone: nothing may write into memory when the program has gone."""
        if self._microphone is not None:
            self._microphone.close()

    def _deafen(self, error):
        """The microphone has failed: go on for the host alone."""
        self.close()
        self._microphone = self._listener = None
        self.fail(error)


class Staged:
    """A microphone that tells the watchdog when the program waits for it."""

    def __init__(self, microphone, watchdog):
        self._readinto = microphone.readinto
        self._microphone = microphone
        self._watchdog = watchdog

    @property
    def lost(self):
        """int: samples lost so far."""
        return getattr(self._microphone, "lost", 0)

    def close(self):
        """As the microphone's, if it has any."""
        if hasattr(self._microphone, "close"):
            self._microphone.close()

    def take_fault(self):
        """As the microphone's."""
        return fault_of(self._microphone)

    def readinto(self, samples):
        """As the microphone's."""
        self._watchdog.at(stages.MICROPHONE)
        count = self._readinto(samples)
        self._watchdog.at(stages.RECOGNISER)
        return count


def run(*functions, model=MODEL, grammar=GRAMMAR, microphone=None, effort=None, transport=None, outside=None):
    """Listen until Ctrl-C, the button or the microphone's end; a hung program restarts the board.

    Args:
        functions: each is called with every Event.
        model, grammar: str, paths on the board.
        microphone: see Listening; None: the board's own.
        effort: float, see Recognizer; None: as the model has it.
        transport: see transport.py; by default USB serial.
        outside: Outside, for tests.
    """
    outside = outside or Outside()
    outside.watchdog.start()
    transport = transport or StandardTransport()
    try:
        _listen(outside, transport, functions, model, grammar, microphone, effort)
    except KeyboardInterrupt:
        transport.close()
        print("stapes: stopped; Ctrl-D starts it again")
    finally:
        outside.stop()
        transport.close()


def _listen(outside, transport, functions, model, grammar, microphone, effort):
    watchdog = outside.watchdog
    if watchdog.hangs >= MOST_HANGS:
        functions = ()  # it may be they that hang
        recognizer = StapesError(spec.ERROR_RESTARTS, "", "%d times, at last %s" % (watchdog.hangs, watchdog.hung))
    else:
        recognizer = _caught(_recognizer, model, grammar, effort)
    ear = Ear(outside, recognizer, microphone or _caught(Microphone.from_board), transport)
    if watchdog.hung and watchdog.hangs < MOST_HANGS:
        ear.fail(StapesError(spec.ERROR_WATCHDOG, "", watchdog.hung))
    try:
        _run(ear, functions)
    finally:
        ear.close()


def _run(ear, functions):
    """Go on until somebody ends it, whatever the functions do."""
    while True:
        try:
            ear.run(*functions)
            return
        except _OURS:
            raise
        except MemoryError:
            ear.fail(StapesError(spec.ERROR_MODEL_MEMORY), False)
        except Exception as error:
            ear.fail(StapesError(spec.ERROR_INTERNAL, "", repr(error)), False)


def _recognizer(model, grammar, effort):
    from stapes.recognizer import Recognizer

    return Recognizer(model, grammar) if effort is None else Recognizer(model, grammar, effort)


def _caught(function, *arguments):
    """Call a function; return what it returns, or the StapesError that it ends in."""
    try:
        return function(*arguments)
    except StapesError as error:
        return diagnose(error)
    except _OURS:
        raise
    except MemoryError:
        return StapesError(spec.ERROR_MODEL_MEMORY)
    except Exception as error:
        return StapesError(spec.ERROR_INTERNAL, "", repr(error))


def _button():
    """Return the function that says whether BOOTSEL is pressed, or None."""
    if sys.platform != "rp2":
        return None
    from rp2 import bootsel_button

    return bootsel_button
