"""One end of the link: frames, acknowledgements, messages. board_end.py and host_end.py add the handshake."""

import struct

import stapes_spec as spec

from stapes.errors import StapesError
from stapes.link.clock import elapsed
from stapes.link.frame import FRAME, FrameParser, FrameWriter

IDLE, GREETING, OPEN, CLOSED = range(4)
_NOTHING = b""

# Names of this module's own are found faster than the specification's: these are needed for every frame.
_END = spec.FRAME_INDEX_END
_TYPE = spec.FRAME_INDEX_TYPE
_SEQUENCE = spec.FRAME_INDEX_SEQUENCE
_NUMBER = spec.FRAME_INDEX_NUMBER
_ACK = spec.FRAME_INDEX_ACK
_PIECE = spec.FRAME_INDEX_PIECE
_ACK_PIECE = spec.FRAME_INDEX_ACK_PIECE
_TAG = spec.FRAME_INDEX_TAG
_PAYLOAD = FrameParser.PAYLOAD
_BYE = spec.FRAME_TYPE_BYE  # the types before it are the handshake's
_GIVEN_UP = spec.FRAME_TYPE_GIVEN_UP  # the types behind it are messages
_NEWS = spec.FRAME_TYPE_NEWS
_ACK_ONLY = spec.FRAME_TYPE_ACK
_UNSEALED = (spec.FRAME_TYPE_HELLO, spec.FRAME_TYPE_CHALLENGE, spec.FRAME_TYPE_PROOF)
_LAST = spec.FRAME_PIECE_LAST
_GAP = spec.FRAME_ACK_GAP


class Link:
    """A state machine without input or output.

    In: fill parser.target() and say parser.received(n), or parser.put(data); then receive() until it
    returns 0. Out: output() is what to write, sent(n) how much of it was taken. Memory is allocated
    when messages come and go, not while nothing happens.

    Args:
        outbox: Outbox.
        inbox: Inbox.
        padded: bool, see FrameWriter.
        silence_ms: int, the other end counts as gone after so long without a frame.
        log: function (str) that is told of refusals; None keeps them in `refusals` only.

    Attributes:
        state: int, IDLE, GREETING, OPEN or CLOSED (whatever carries the bytes should hang up).
        payload: memoryview, the payload of the message that receive() returned.
        reason: str, why the link was closed.
        refusals, damaged, forged: int, counts of strangers, of damaged frames and of those without their seal.
        seals: bool, where there is a device key every frame after the handshake is sealed (secrets.Seal); False: what
            carries the bytes, TLS, sees to that.
    """

    def __init__(self, outbox, inbox, padded, silence_ms=spec.LINK_SILENCE_MS, log=None):
        self.outbox, self.inbox = outbox, inbox
        self.parser = FrameParser()
        self._writer = FrameWriter(padded)
        self._silence_ms = silence_ms
        self._log = log
        self.state = IDLE
        self.payload = None
        self.reason = ""
        self.refusals = self.damaged = self.forged = 0
        self.seals = True
        self._seal = None
        self.tag = 0
        self._greeting = None  # (type, payload) of the handshake to send
        self._rest = None  # of the frame being written
        self._heard_ms = self._said_ms = 0

    def connected(self, now_ms):
        """Say that a new stream of bytes to the other end begins."""
        self.parser.forget()
        self.inbox.forget_parts()
        self.state = IDLE
        self.reason = ""
        self._greeting = self._rest = self._seal = None
        self._heard_ms = self._said_ms = now_ms

    def disconnected(self, reason="the connection was lost"):
        """Say that the stream has ended; messages that must arrive wait for the next."""
        if self.state != CLOSED:
            self.reason = reason
        self.state = CLOSED
        self._greeting = self._rest = None
        self.outbox.drop_spare()

    @property
    def unsent(self):
        """bool: a part of a frame waits to be written."""
        return self._rest is not None

    def send(self, kind, payload):
        """Send a message that must arrive; see Outbox.send."""
        return self.outbox.send(kind, payload)

    def offer(self, payload):
        """Send news, which are dropped when nobody is there, or when too many wait."""
        if self.state == OPEN:
            self.outbox.offer(spec.FRAME_TYPE_NEWS, payload)
        else:
            self.outbox.dropped += 1

    def receive(self, now_ms):
        """Work through what has arrived, up to the next message.

        Returns:
            int: its type; given_up (inbox.missed says how many); 0 when there is none.
        """
        take = self.parser.take
        while True:
            found = take()
            if found == 0:
                return 0
            if self.state == CLOSED:
                continue
            if found != FRAME:
                self._damage(-found, now_ms)
                continue
            kind = self._frame(now_ms)
            if kind:
                return kind

    # MicroPython takes the state of a function from the heap when it is of more than 11 words, its arguments,
    # locals and temporaries together: what runs for every frame is kept below that.

    def _frame(self, now_ms):
        """Take in a whole frame; return its type if it is a message for the program."""
        state = self.parser.state
        kind = state[_TYPE]
        if self._seal is not None and not self._unseal(kind):
            self.forged += 1
            return 0
        if kind < _BYE and self._greet(kind, self._payload(), now_ms):
            self._heard_ms = now_ms
            return 0
        if self.state != OPEN or state[_TAG] != self.tag:
            return 0
        self._heard_ms = now_ms
        inbox = self.inbox
        newer = inbox.news and inbox.newer(state[_SEQUENCE])
        # The bit of a gap is the lowest of a position's number, so it is looked at first.
        if state[_ACK_PIECE] >= _GAP or (state[_ACK] << 7 | state[_ACK_PIECE]) != self.outbox.position:
            self._hear_ack(now_ms)
        if (
            state[_PIECE] != _LAST
            or state[_NUMBER] != inbox.number
            or inbox.piece
            or kind <= _GIVEN_UP
            or kind == _NEWS
        ):
            return self._special(kind, newer)
        # What comes most: a message in one frame, in its turn.
        inbox.number += 1
        inbox.due = True
        self.payload = self._payload()
        return kind

    def _unseal(self, kind):
        """Take the seal off a frame; return whether it may be heard."""
        if kind in _UNSEALED:
            return True
        state = self.parser.state
        size = self._seal.open(state, self._payload())
        if size >= 0:
            state[_END] = _PAYLOAD + size
        # A board that refuses its host during the handshake has no seal yet.
        return size >= 0 or (kind == spec.FRAME_TYPE_REFUSED and self.state == GREETING)

    def _payload(self):
        return self.parser.view[_PAYLOAD : self.parser.state[_END]]

    def _hear_ack(self, now_ms):
        state = self.parser.state
        piece = state[_ACK_PIECE]
        self.outbox.acknowledge(state[_ACK], piece & ~_GAP, piece & _GAP != 0, now_ms)

    def _special(self, kind, newer):
        """Take in a frame that is not simply the next message; return its type if the program is to have it."""
        inbox, number = self.inbox, self.parser.state[_NUMBER]
        if kind == _BYE:
            self.disconnected("the other end said goodbye")
            return 0
        if kind == spec.FRAME_TYPE_ACK:
            if number > inbox.number:
                inbox.due = inbox.gap = True
            return 0
        if kind == _GIVEN_UP:
            return kind if inbox.skip(number) else 0
        if kind == _NEWS:
            self.payload = self._payload()
            return kind if inbox.accept_droppable(number, newer) else 0
        complete = inbox.accept(number, self.parser.state[_PIECE], self._payload())
        if inbox.too_long:
            self.refuse(spec.ERROR_LINK_FRAME, "a message that is too long")
        self.payload = inbox.payload
        return kind if complete else 0

    def _damage(self, code, now_ms):
        self.damaged += 1
        if self.state == OPEN:
            self.inbox.due = self.inbox.gap = True

    def _greet(self, kind, payload, now_ms):
        """Take a frame of the handshake; return whether it was one."""
        raise NotImplementedError

    def refuse(self, code, detail, where=""):
        """Tell the other end why it is not served, and hang up.

        Args:
            code: int, of spec.ERRORS.
            detail, where: str, see StapesError.
        """
        self.refusals += 1
        text = str(StapesError(code, where, detail))
        if self._log:
            self._log("link: refused: " + text)
        payload = struct.pack("<hH", code, spec.VERSION_PROTOCOL) + (where + "|" + detail).encode()
        payload = payload[: spec.FRAME_PAYLOAD]
        self.disconnected(text)
        self._greeting = (spec.FRAME_TYPE_REFUSED, payload)

    def close(self):
        """Say goodbye."""
        if self.state == OPEN:
            self.disconnected("closed")
            self._greeting = (spec.FRAME_TYPE_BYE, _NOTHING)
        else:
            self.disconnected("closed")

    def output(self, now_ms):
        """Return what to write next, a memoryview, or None; call sent() with how much was taken."""
        rest = self._rest
        if rest is None:
            rest = self._rest = self._next(now_ms)
            if rest is not None:
                self._said_ms = now_ms
        return rest

    @property
    def quiet(self):
        """bool: output() has nothing that could not wait for the next tick."""
        return self._rest is None and self._greeting is None and not self.inbox.due and not self.outbox.busy

    def sent(self, count):
        """Say that the first count bytes of output() are on their way."""
        self._rest = self._rest[count:] if count < len(self._rest) else None

    def _next(self, now_ms):
        if self._greeting is not None:
            kind, payload = self._greeting
            self._greeting = None
            return self._encode(kind, 0, 0, payload)
        if self.state != OPEN:
            return None
        inbox = self.inbox
        if self.outbox.busy:
            self.outbox.tick(now_ms)
            if not inbox.gap and self.outbox.next_frame(now_ms):
                return self._encode_chosen()
        if inbox.due or inbox.gap or elapsed(now_ms, self._said_ms) >= spec.LINK_KEEPALIVE_MS:
            return self._encode(_ACK_ONLY, self.outbox.next_number, 0, _NOTHING)
        return None

    def _encode_chosen(self):
        outbox = self.outbox
        return self._encode(outbox.kind, outbox.number, outbox.piece, outbox.payload)

    def _encode(self, kind, number, piece, payload):
        fields = self._writer.fields
        fields[_TYPE] = kind
        fields[_NUMBER] = number
        fields[_PIECE] = piece
        fields[_TAG] = self.tag
        self._acknowledge(fields)
        if self._seal is not None and kind not in _UNSEALED:
            payload = self._seal.close(fields, payload)
        return self._writer.seal(payload)

    def _acknowledge(self, fields):
        """Let the next frame say what is expected."""
        inbox = self.inbox
        fields[_ACK] = inbox.number
        fields[_ACK_PIECE] = inbox.piece | _GAP if inbox.gap else inbox.piece
        inbox.due = inbox.gap = False

    def tick(self, now_ms):
        """See whether the other end has gone."""
        if self.state == OPEN and elapsed(now_ms, self._heard_ms) >= self._silence_ms:
            self.disconnected("the other end fell silent")

    def due_ms(self, now_ms):
        """Return in how many milliseconds there will be something to do if nothing arrives."""
        if self.state != OPEN:
            return spec.LINK_KEEPALIVE_MS
        due = max(0, spec.LINK_KEEPALIVE_MS - elapsed(now_ms, self._said_ms))
        resend = self.outbox.due_ms(now_ms)
        return due if resend < 0 else min(due, resend)
