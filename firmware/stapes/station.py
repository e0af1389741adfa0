"""A board that listens by itself and tells a host: the same events here and there."""

from array import array

import stapes_spec as spec

from stapes import event as kinds
from stapes.link.board_end import BoardLink
from stapes.link.clock import elapsed
from stapes.listener import Listener
from stapes.listening import Events, fault_of, hear
from stapes.server import Server, ticks_ms
from stapes.settings import PATH, Settings

_LINGER_MS = 5000  # after the sound's end, for a host to take the last events
_REST_MS = 20


class Station(Events):
    """Raises events for a `for` loop, for `async for` or for run(functions), and sends each to the host.

    station = stapes.Station(ear, stapes.Microphone.from_board(), StandardTransport())
    for event in station:
        ...

    Nothing here waits for a host: when it reads too slowly, partials are dropped; when it has gone, the oldest
    lattices are given up once the outbox is full; both are counted, and the host is told.

    Args:
        recognizer: Recognizer.
        microphone: see Listening; None hears only what the host sends.
        transport: see transport.py.
        key: bytes, the device key, or None: whoever comes is served.
        endpointer: see Listener.
        log: function (str) that is told of refusals, such as print where the transport is not the prompt's.
    """

    def __init__(self, recognizer, microphone, transport, key=None, endpointer=None, log=None):
        self._recognizer = recognizer
        self._microphone = microphone
        if recognizer is not None and microphone is not None:
            recognizer.hashes()  # READY has them; once the microphone runs there is no time for it
        self._endpointer = endpointer
        self.link = BoardLink(self._about, key, log=log, strict=transport.strict)
        self.link.seals = not getattr(transport, "secure", False)
        self.server = Server(self.link, transport, self._hearing)
        self._listener = None
        self._chunk = array("h", [0] * spec.FRONTEND_STEP_SAMPLES)
        self._lost = 0
        self._ended_ms = None

    def _about(self):
        return self.server.about()

    def _hearing(self):
        """Return the recogniser that hosts are served with."""
        return self._recognizer

    def _take(self):
        if self._listener is None or not self._listener.waiting:
            return None
        event = self._listener.take()
        self.server.send_event(event)
        if event.kind != kinds.PARTIAL:
            self.server.flush()
        return event

    def _advance(self):
        server = self.server
        listens = server.wanted and server.listener is None and self._microphone is not None
        server.poll(0 if listens and self._ended_ms is None else _REST_MS)
        if self._ended_ms is not None:
            return self.link.outbox.pending > 0 and elapsed(ticks_ms(), self._ended_ms) < _LINGER_MS
        if not server.wanted or server.listener is not None:
            self._listener = None  # the host's own audio has the recogniser, or nobody wants to hear
        elif self._microphone is not None:
            self._hear()
        return True

    def _hear(self):
        if self._listener is None:
            self._recognizer.reset(self._recognizer.utterance + 1)
            self._listener = Listener(self._recognizer, endpointer=self._endpointer)
        count = self._microphone.readinto(self._chunk)
        before, self._lost = self._lost, getattr(self._microphone, "lost", 0)
        hear(self._listener, self._chunk, count, self._lost - before, fault_of(self._microphone))
        if count == 0:
            self._ended_ms = ticks_ms()


def transport_from_settings(path=PATH):
    """Join the wireless network that settings.json names and wait there for hosts.

    Args:
        path: str.
    Returns:
        (SocketTransport, bytes or None): for Station, with the device key.
    Raises:
        StapesError: settings or network are not right.
    """
    from stapes.sockets import SocketTransport
    from stapes.wifi import join

    settings = Settings(path)
    if settings.wifi:
        join(settings.wifi["ssid"], settings.wifi["password"])
    return SocketTransport(settings.port, settings.certificate, settings.private_key), settings.key
