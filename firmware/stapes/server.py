"""Serves a host over the link: obeys its commands, sends it the events."""

import json
import struct
import sys

import stapes_spec as spec

from stapes import event as kinds
from stapes import kernels
from stapes.digest import digest, hexadecimal
from stapes.errors import StapesError
from stapes.event import Event
from stapes.link import event_codec
from stapes.link.clock import elapsed, ticks_ms, ticks_us
from stapes.link.link import CLOSED, OPEN
from stapes.listener import Listener

try:
    from machine import freq as clock_hz
except ImportError:

    def clock_hz():
        """Return None: the processor's clock is not known."""
        return None


_AUDIO_BYTES = 2 * spec.FRAME_AUDIO_SAMPLES
_AUDIO = spec.FRAME_TYPE_AUDIO
_DRAIN_MS = 20  # a result may take so long to leave before the next step is heard
_ROUNDS = 16  # blocks read before the microphone has its turn again


def board_id():
    """Return what tells this board from others, in hexadecimal digits."""
    try:
        from machine import unique_id

        return hexadecimal(unique_id())
    except (ImportError, AttributeError):
        return sys.platform


def firmware_hash():
    """Return a hash of what runs here: version, interpreter and its build, kernels."""
    return digest("|".join((spec.PROJECT_VERSION, sys.version, sys.platform, kernels.NAME)).encode())


def identity():
    """Return what a board says of itself, whatever it hears with."""
    return {
        "board": sys.platform,
        "id": board_id(),
        "firmware": spec.PROJECT_VERSION,
        "firmware_hash": firmware_hash(),
        "protocol": spec.VERSION_PROTOCOL,
        "kernels": kernels.NAME,
        "clock_hz": clock_hz(),
    }


class Server:
    """Moves bytes between a transport and a BoardLink, and does what a host asks for.

    Args:
        link: BoardLink.
        transport: see transport.py.
        recognizer: function () -> Recognizer, called when the first host comes.

    Attributes:
        listener: Listener of what the host sends as audio, or None.
        wanted: bool, the host wants the microphone heard.
        final_to_wire_us: int, microseconds from the last utterance's final decision until its lattice, or the
            confirmation of the one before, had left for the host; None: none has yet.
    """

    def __init__(self, link, transport, recognizer):
        self.link = link
        self._transport = transport
        self._make = recognizer
        self._recognizer = None
        self._about = None
        self._parser = link.parser
        self._blocks = getattr(transport, "blocks", False)
        self._rounds = _ROUNDS if self._blocks else 1
        self._audio = link.parser.view[link.parser.PAYLOAD : link.parser.PAYLOAD + _AUDIO_BYTES]
        self.listener = None
        self.wanted = True
        self._tracing = False
        self._drain = getattr(transport, "drain", None)
        self._awaited = None  # (number of the message with an utterance's result, when that was decided)
        self.final_to_wire_us = None

    @property
    def recognizer(self):
        """Recognizer: made when it is first asked for."""
        if self._recognizer is None:
            self._recognizer = self._make()
        return self._recognizer

    def about(self):
        """Return what READY says: who this is, and what it hears with.

        Raises:
            StapesError: model or grammar are refused.
        """
        if self._about is None:
            self._about = _caught(self._describe)
        return self._about

    def _describe(self):
        recognizer = self.recognizer
        model_hash, grammar_hash = recognizer.hashes()
        about = identity()
        about.update(
            {
                "model": recognizer.model.where,
                "model_hash": model_hash,
                "grammar": recognizer.grammar.where,
                "grammar_hash": grammar_hash,
                "bytes": recognizer.memory_bytes,
                "branches": recognizer.model.branches,
            }
        )
        return about

    def poll(self, wait_ms=0):
        """Take in what has come, answer, and send what is due.

        Args:
            wait_ms: int, at most so long for the first byte; -1 for ever.
        """
        if self._transport.begins():
            self.link.connected(ticks_ms())
        if self.link.unsent:
            wait_ms = min(wait_ms, 1) if wait_ms >= 0 else 1
        if not self._take_in(wait_ms):
            self.link.tick(ticks_ms())
            self.flush()
        if self.link.state == CLOSED:
            self._transport.hang_up()

    def _take_in(self, wait_ms):
        """Read, and work through it; return whether there was a message, and so all is said that was due."""
        parser, heard = self._parser, False
        rounds = self._rounds
        while rounds:
            rounds -= 1
            count = self._transport.readinto(parser.target() if self._blocks else parser.room(), wait_ms)
            if count <= 0:
                break
            wait_ms = 0
            parser.received(count)
            heard = self._receive() or heard
        if count < 0:
            self.link.disconnected()
        return heard

    def _receive(self):
        """Work through what has been read; return whether there was a message."""
        link, parser = self.link, self._parser
        heard = False
        while True:
            kind = link.receive(ticks_ms())
            if kind == 0:
                break
            heard = True
            self._handle(kind)
            self.flush()
            if parser.spent():
                return True
        if self._transport.prompt and link.state != OPEN and parser.interrupted:
            raise KeyboardInterrupt
        return heard

    def flush(self):
        """Write what there is room for."""
        link, write = self.link, self._transport.write
        while True:
            out = link.output(ticks_ms())
            if out is None:
                return
            taken = write(out)
            if taken < 0:
                link.disconnected()
                return
            if taken == 0:
                return
            link.sent(taken)
            if self._awaited is not None:
                self._time_result()
            if link.quiet:
                return

    def _time_result(self):
        """Note when the message that is awaited has left, and give it a moment to do so before the next step."""
        number, decided_us = self._awaited
        if self.link.unsent or self.link.outbox.next_number <= number:
            return
        self._awaited = None
        if self._drain is None or self._drain(_DRAIN_MS):
            self.final_to_wire_us = elapsed(ticks_us(), decided_us)

    def send_event(self, event):
        """Send an event: at once if there is room, and again until it has arrived if it must."""
        message = event_codec.encode(event)
        if event.kind in event_codec.NEWS:
            self.link.offer(message)
            return
        number = self.link.send(spec.FRAME_TYPE_EVENT, message)
        if event.decided_us is not None and self.link.state == OPEN:
            self._awaited = (number, event.decided_us)

    def _handle(self, kind):
        try:
            if kind == _AUDIO:
                self._hear()
            elif kind == spec.FRAME_TYPE_COMMAND:
                self._command()
            else:
                raise StapesError(spec.ERROR_LINK_FRAME, "", "type %d" % kind)
        except Exception as error:
            self._tell_error(error)

    def _tell_error(self, error):
        self.send_event(Event(kinds.ERROR, 0, error=_worded(error)))

    def _command(self):
        """Obey, and reply."""
        payload = self.link.payload
        if len(payload) < spec.COMMAND_BYTES:
            raise StapesError(spec.ERROR_LINK_FRAME, "", "a command of %d bytes" % len(payload))
        code = payload[0]
        failed, answer = 0, {}
        try:
            order = _object(payload[spec.COMMAND_BYTES :])
            answer = self._obey(code, order) or answer
        except StapesError as error:
            failed, answer = 1, {"code": error.code, "where": error.where, "detail": error.detail}
        header = struct.pack(spec.COMMAND_STRUCT, code, failed, 0)
        self.link.send(spec.FRAME_TYPE_REPLY, header + json.dumps(answer).encode())
        self._pass_on()

    def _obey(self, code, order):
        if code == spec.COMMAND_START:
            self._start(order)
        elif code == spec.COMMAND_STOP:
            self._stop()
        elif code == spec.COMMAND_FINISH:
            if self.listener:
                self.listener.finish()
        elif code == spec.COMMAND_STATE:
            return self.state()
        elif code == spec.COMMAND_CONTEXT:
            self._set_context(order)
        elif code == spec.COMMAND_EFFORT:
            self._set_effort(order.get("effort"))
        elif code == spec.COMMAND_LATTICE:
            self._set_lattice(order)
        else:
            raise StapesError(spec.ERROR_LINK_COMMAND, "", "command %d" % code)

    def _start(self, order):
        if "effort" in order:
            self._set_effort(order["effort"])
        if "lattice" in order:
            self._set_lattice(order["lattice"])
        if "context" in order:
            self._set_context(order["context"])
        self._set_tracing(bool(order.get("trace")))
        if order.get("audio"):
            self.recognizer.reset(order.get("utterance", 0))
            self.listener = Listener(self.recognizer, single=bool(order.get("single")))
        else:
            self.listener = None
            self.wanted = True

    def _stop(self):
        self.wanted = False
        if self.listener is None:
            return
        self.listener = None
        self._say_stopped()

    def _say_stopped(self):
        self.send_event(Event(kinds.STOPPED, 0, utterance=self.recognizer.utterance))

    def _set_context(self, order):
        """Obey {"phrases": [...] or {phrase: nats}, "boost": nats}."""
        try:
            if not isinstance(order, dict):
                raise TypeError("context must be an object, not %s" % type(order).__name__)
            self.recognizer.set_context(order.get("phrases", []), order.get("boost"))
        except (TypeError, ValueError) as error:
            raise StapesError(spec.ERROR_LINK_COMMAND, "", str(error))

    def _set_effort(self, effort):
        try:
            self.recognizer.effort = effort
        except (TypeError, ValueError):
            raise StapesError(spec.ERROR_LINK_COMMAND, "", "effort %r" % (effort,))

    def _set_lattice(self, order):
        """Obey {"bytes": …, "beam": …, "rejection": …}, or any of them."""
        try:
            if "bytes" in order:
                self.recognizer.lattice_bytes = order["bytes"]
            if "beam" in order:
                self.recognizer.lattice_beam = order["beam"]
            if "rejection" in order:
                self.recognizer.rejection = order["rejection"]
        except (TypeError, ValueError) as error:
            raise StapesError(spec.ERROR_LINK_COMMAND, "", str(error))

    def _set_tracing(self, tracing):
        if hasattr(self.recognizer, "tracing"):
            self.recognizer.tracing = tracing
        elif tracing:
            raise StapesError(spec.ERROR_LINK_COMMAND, "", "its steps cannot be traced")
        self._tracing = tracing

    def state(self):
        """Return what the command `state` is answered with: counts since power-up."""
        link, outbox = self.link, self.link.outbox
        return {
            "listening": self.wanted or self.listener is not None,
            "utterance": self.recognizer.utterance,
            "bytes": self.recognizer.memory_bytes,
            "pending": outbox.pending,
            "given_up": outbox.given_up,
            "dropped": outbox.dropped,
            "resent": outbox.resent,
            "damaged": link.damaged,
            "forged": link.forged,
            "refusals": link.refusals,
            "final_to_wire_us": self.final_to_wire_us,
        }

    def _hear(self):
        """Recognise samples that the host sends, where they lie."""
        length, listener = len(self.link.payload), self.listener
        if length > _AUDIO_BYTES or length % 2 or listener is None:
            raise StapesError(spec.ERROR_LINK_FRAME, "", "audio of %d bytes" % length)
        listener.accept(self._audio if length == _AUDIO_BYTES else self._audio[:length], length // 2)
        if listener.waiting or self._tracing:
            self._pass_on()

    def _pass_on(self):
        """Send the events of the host's own audio: the steps, where it asked for them, then what they led to."""
        listener = self.listener
        if listener is None:
            return
        if self._tracing:
            for event in self.recognizer.take_records():
                self.send_event(event)
                self.flush()
        if not listener.waiting:
            return
        while listener.waiting:
            self.send_event(listener.take())
            self.flush()
        if listener.over:
            self._say_stopped()


def _object(data):
    if not len(data):
        return {}
    try:
        found = json.loads(bytes(data).decode())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StapesError(spec.ERROR_LINK_COMMAND, "", "no JSON object")
    return found


def _caught(function):
    """Call a function; whatever it raises becomes a StapesError."""
    try:
        return function()
    except Exception as error:
        raise _worded(error)


def _worded(error):
    """Return the StapesError that tells of any exception."""
    if isinstance(error, StapesError):
        return error
    if isinstance(error, MemoryError):
        return StapesError(spec.ERROR_MODEL_MEMORY)
    return StapesError(spec.ERROR_INTERNAL, "", repr(error))
