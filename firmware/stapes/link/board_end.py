"""The board's end of the link: answers a host's HELLO, and asks for proof where it has a key."""

import json
import os
import struct

import stapes_spec as spec

from stapes.errors import StapesError
from stapes.link import secrets
from stapes.link.clock import elapsed
from stapes.link.inbox import Inbox
from stapes.link.link import GREETING, IDLE, OPEN, Link
from stapes.link.outbox import Outbox

_RELIABLE_ONLY = 0


class BoardLink(Link):
    """What a board runs.

    Args:
        about: function () -> dict, what READY says of the board; called for each connection. A StapesError
            that it raises is what the host is refused with.
        key: bytes [key_bytes] that hosts must prove to know, or None.
        random: function (n) -> n random bytes.
        silence_ms, log: see Link.
        strict: bool, a stream on which nobody says HELLO, or one sends nonsense, is closed: of a socket.
    """

    def __init__(self, about, key=None, random=None, silence_ms=spec.LINK_SILENCE_MS, log=None, strict=False):
        super().__init__(Outbox(), Inbox(_RELIABLE_ONLY, news=False), False, silence_ms, log)
        self._about = about
        self._key = key
        self._strict = strict
        self._random = random or os.urandom
        (session,) = struct.unpack("<I", self._random(4))
        self._session = session or 1
        self._host_session = 0  # whose messages the inbox counts
        self._hello = self._answer = None
        self._expected = None  # proof
        self._agreed = None  # Seal, used from READY on
        self._began_ms = 0
        self._strange = 0

    def connected(self, now_ms):
        """See Link.connected; a proof from before is worth nothing."""
        super().connected(now_ms)
        self._hello = self._answer = self._expected = self._agreed = None
        self._began_ms = now_ms
        self._strange = 0

    def _damage(self, code, now_ms):
        super()._damage(code, now_ms)
        if self.state == OPEN:
            return
        if code == spec.ERROR_LINK_VERSION and self.parser.kind == spec.FRAME_TYPE_HELLO:
            self.refuse(code, "the host's is %d, ours %d" % (self.parser.version, spec.VERSION_PROTOCOL))
            return
        self._strange += 1
        if self._strict and self._strange >= spec.LINK_DAMAGED_FRAMES:
            self.refuse(spec.ERROR_LINK_FRAME, "%d damaged frames" % self._strange)

    def tick(self, now_ms):
        """See whether the host has gone, or takes too long to prove himself."""
        super().tick(now_ms)
        waits = self.state == GREETING or (self._strict and self.state == IDLE)
        if waits and elapsed(now_ms, self._began_ms) >= spec.LINK_HANDSHAKE_MS:
            self.refuse(spec.ERROR_LINK_KEY if self._key else spec.ERROR_LINK_FRAME, "no handshake in time")

    def _greet(self, kind, payload, now_ms):
        if kind == spec.FRAME_TYPE_HELLO:
            if len(payload) == spec.HELLO_BYTES:
                self._hear_hello(bytes(payload), now_ms)
            return True
        if kind == spec.FRAME_TYPE_PROOF:
            if self.state == GREETING and self._expected is not None:
                self._check_proof(payload, now_ms)
            return True
        return False

    def _hear_hello(self, hello, now_ms):
        if hello == self._hello:  # our answer was lost
            self._greeting = self._answer
            return
        self._hello = hello
        self._began_ms = now_ms
        if self._key is None:
            self._open(now_ms)
            return
        nonce = self._random(16)
        self.state = GREETING
        self._seal = None
        self._agreed = secrets.Seal(self._key, hello, nonce, True) if self.seals else None
        self._expected = secrets.host_proof(self._key, hello, nonce)
        proof = secrets.board_proof(self._key, hello, nonce)
        self._answer = self._greeting = (spec.FRAME_TYPE_CHALLENGE, nonce + proof)

    def _check_proof(self, payload, now_ms):
        expected, self._expected = self._expected, None
        if secrets.same(expected, payload):
            self._open(now_ms)
        else:
            self.refuse(spec.ERROR_LINK_KEY, "wrong proof")

    def _open(self, now_ms):
        """Begin or go on where this host left off."""
        try:
            about = self._about()
        except StapesError as error:
            self.refuse(error.code, error.detail, error.where)
            return
        _, session, number, host_session, self.tag, _ = struct.unpack(spec.HELLO_STRUCT, self._hello)
        self.outbox.drop_spare()
        if session != self._session or not self.outbox.resume(number):
            self.outbox.resume(0)
        if host_session == self._host_session:
            self.inbox.forget_parts()
        else:
            self._host_session = host_session
            self.inbox.begin(1)
        self._seal = self._agreed
        fields = struct.pack(spec.READY_STRUCT, self._session, self.outbox.acked, self.inbox.number)
        self._answer = self._greeting = (spec.FRAME_TYPE_READY, fields + json.dumps(about).encode())
        self.state = OPEN
        self._heard_ms = self._said_ms = now_ms
