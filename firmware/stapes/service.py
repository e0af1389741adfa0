"""Serves a recogniser over the link: the host sends a recording, the board answers with events."""

import json
import struct
import sys

import stapes_spec as spec

from stapes import event as kinds
from stapes import kernels
from stapes.errors import StapesError
from stapes.lattice import LatticeError
from stapes.link import FrameReader, FrameWriter
from stapes.listener import Listener
from stapes.trace import TracedRecognizer

try:
    from select import POLLIN, poll

    import micropython
except ImportError:
    micropython = None

try:
    from machine import freq as clock_hz
except ImportError:

    def clock_hz():
        return None


_IDLE_MS = 60000
_AUDIO_BYTES = 2 * spec.FRAME_AUDIO_SAMPLES


class StandardStream:
    """Standard input and output as the link's stream.

    On MicroPython a host that stays silent for idle_ms ends it, so that a board whose host has gone
    returns to its prompt. Ctrl-C is a byte like any other while it is open.

    Args:
        idle_ms: int, -1 waits for ever: an emulated board's clock runs ahead of its host's when idle.
    """

    def __init__(self, idle_ms=_IDLE_MS):
        self._idle_ms = idle_ms
        self._input = sys.stdin.buffer
        self._output = sys.stdout.buffer
        self._poll = None
        if micropython:
            self._poll = poll()
            self._poll.register(sys.stdin, POLLIN)
            micropython.kbd_intr(-1)

    def readinto(self, buffer):
        """Fill buffer; return len(buffer), or less at the end of the stream."""
        if self._poll and not self._poll.poll(self._idle_ms):
            return 0
        return self._input.readinto(buffer) or 0

    def write(self, data):
        """Send data."""
        self._output.write(data)
        if not micropython:
            self._output.flush()

    def close(self):
        """Give Ctrl-C its meaning back."""
        if micropython:
            micropython.kbd_intr(3)


class Service:
    """One host's session.

    Args:
        stream: has readinto(buffer) -> bytes read and write(buffer).
        model, grammar: str, paths on the board.
        kernels_module: for tests; by default the fastest there is.
    """

    def __init__(self, stream, model, grammar, kernels_module=None):
        self._stream = stream
        self._reader = FrameReader(stream)
        self._writer = FrameWriter(stream)
        self._paths = (model, grammar)
        self._kernels = kernels_module
        self._recognizer = None
        self._listener = None
        self._taken = 0
        self._audio = memoryview(self._reader.buffer)[FrameReader.PAYLOAD : FrameReader.PAYLOAD + _AUDIO_BYTES]

    def run(self):
        """Serve until the host says goodbye or falls silent.

        A zero byte tells the host that it may speak: before it, a byte that means Ctrl-C would do so.
        """
        self._stream.write(b"\0")
        while True:
            kind = self._reader.receive()
            if kind in (0, spec.FRAME_TYPE_BYE):
                return
            try:
                self._serve(kind)
            except StapesError as error:
                self._send_error(error)
            except LatticeError as error:
                self._send_error(StapesError(spec.ERROR_INTERNAL, "", str(error)))
            except MemoryError:
                self._send_error(StapesError(spec.ERROR_MODEL_MEMORY))
            except Exception as error:
                self._send_error(StapesError(spec.ERROR_INTERNAL, "", repr(error)))

    def _serve(self, kind):
        if kind < 0:
            raise StapesError(-kind)
        if kind == spec.FRAME_TYPE_HELLO:
            self._hello()
        elif self._recognizer is None:
            raise StapesError(spec.ERROR_LINK_FRAME, "", "no HELLO before type %d" % kind)
        elif kind == spec.FRAME_TYPE_START:
            self._start()
        elif kind == spec.FRAME_TYPE_AUDIO:
            self._hear()
        elif kind == spec.FRAME_TYPE_FINISH:
            if self._listener:
                self._listener.finish()
        else:
            raise StapesError(spec.ERROR_LINK_FRAME, "", "type %d" % kind)
        if self._listener:
            self._send_news()

    def _hello(self):
        if self._recognizer is None:
            self._recognizer = TracedRecognizer(self._paths[0], grammar=self._paths[1], kernels=self._kernels)
        about = {
            "board": sys.platform,
            "firmware": spec.PROJECT_VERSION,
            "protocol": spec.VERSION_PROTOCOL,
            "model": self._recognizer.model.where,
            "grammar": self._recognizer.grammar.where,
            "kernels": kernels.NAME,
            "bytes": self._recognizer.memory_bytes,
            "branches": self._recognizer.model.branches,
            "clock_hz": clock_hz(),
        }
        self._writer.send(spec.FRAME_TYPE_READY, json.dumps(about).encode())

    def _start(self):
        order = json.loads(bytes(self._reader.buffer[FrameReader.PAYLOAD : self._reader.payload_end]))
        if "effort" in order:
            self._set_effort(order["effort"])
        self._recognizer.tracing = order.get("trace", False)
        self._recognizer.reset(order["utterance"])
        self._listener = Listener(self._recognizer, single=True)
        self._taken = 0
        self._grant()

    def _set_effort(self, effort):
        try:
            self._recognizer.effort = effort
        except (TypeError, ValueError):
            raise StapesError(spec.ERROR_LINK_FRAME, "", "effort %r" % (effort,))

    def _hear(self):
        length = self._reader.payload_end - FrameReader.PAYLOAD
        if length > _AUDIO_BYTES or length % 2 or self._listener is None:
            raise StapesError(spec.ERROR_LINK_FRAME, "", "audio of %d bytes" % length)
        self._listener.accept(self._audio if length == _AUDIO_BYTES else self._audio[:length], length // 2)
        self._taken += length // 2
        self._grant()

    def _send_news(self):
        """Send what the steps were, where the host asked for it, then what they led to."""
        for record in self._recognizer.take_records():
            self._send_event(kinds.Event(kinds.TRACE, record["step"] * spec.FRONTEND_STEP_MS, trace=record))
        while self._listener.waiting:
            self._send_event(self._listener.take())

    def _grant(self):
        """Tell the host how many samples, counted from START, it may send."""
        self._writer.send(spec.FRAME_TYPE_CREDIT, struct.pack("<I", self._taken + spec.FRAME_WINDOW_SAMPLES))

    def _send_event(self, event):
        if event.kind == kinds.ERROR:
            self._send_error(event.error)
            return
        details = {}
        if event.kind == kinds.PARTIAL:
            details["words"] = event.words
        elif event.kind == kinds.INTENT:
            details["intent"], details["slots"] = event.intent, event.slots
        elif event.kind == kinds.STATISTICS:
            details = event.statistics
        elif event.kind == kinds.TRACE:
            details["trace"] = event.trace
        elif event.kind == kinds.LATTICE:
            details["bytes"] = len(event.lattice.data)
        header = struct.pack(spec.EVENT_STRUCT, event.kind, 0, 0, event.time_ms)
        self._writer.send(spec.FRAME_TYPE_EVENT, header, json.dumps(details).encode())
        if event.kind == kinds.LATTICE:
            self._send_lattice(event.lattice.data)

    def _send_lattice(self, data):
        for begin in range(0, len(data), spec.FRAME_BOARD_PAYLOAD):
            self._writer.send(spec.FRAME_TYPE_LATTICE, data[begin : begin + spec.FRAME_BOARD_PAYLOAD])

    def _send_error(self, error):
        detail = "|".join((error.where, error.detail)).encode()[: spec.FRAME_BOARD_PAYLOAD - 4]
        self._writer.send(spec.FRAME_TYPE_ERROR, struct.pack("<hH", error.code, 0), detail)


def main(model, grammar, idle_ms=_IDLE_MS):
    """Serve standard input and output: what the host starts on a board.

    Args:
        model, grammar: str, paths on the board.
        idle_ms: int, see StandardStream.
    """
    stream = StandardStream(idle_ms)
    try:
        Service(stream, model, grammar).run()
    finally:
        stream.close()
