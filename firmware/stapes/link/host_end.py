"""The host's end of the link: says HELLO until the board is ready, and resumes after a cut."""

import json
import os
import struct

import stapes_spec as spec

from stapes.errors import StapesError
from stapes.link import secrets
from stapes.link.clock import elapsed
from stapes.link.inbox import Inbox
from stapes.link.link import GREETING, OPEN, Link
from stapes.link.outbox import Outbox


class HostLink(Link):
    """What a host runs, or a board that plays the host's part.

    Args:
        key: bytes [key_bytes] that both ends must prove to know, or None.
        random: function (n) -> n random bytes.
        slowness: int or float, the board's seconds are so much longer than ours: timeouts grow by it.
        log: see Link.

    Attributes:
        about: dict, what the board says of itself; {} until it is ready.
        error: StapesError when the link was closed for good, else None.
        restarted: bool, the board has begun a new session since it was last connected.
        lost: int, our messages of which a restarted board knows nothing.
    """

    def __init__(self, key=None, random=None, slowness=1, log=None):
        outbox = Outbox(resend_ms=int(spec.LINK_RESEND_MS * slowness), gives_up=False)
        silence_ms = int(spec.LINK_SILENCE_MS * slowness)
        super().__init__(outbox, Inbox(spec.LINK_MESSAGE_BYTES), True, silence_ms, log)
        self._key = key
        self._random = random or os.urandom
        self._hello_ms = int(spec.LINK_HELLO_MS * slowness)
        self._session = 0
        self._host_session = 0
        self._hello = self._proof = None
        self._proved = False
        self._asked_ms = 0
        self.about = {}
        self.error = None
        self.restarted = False
        self.lost = 0

    def connected(self, now_ms):
        """See Link.connected: the host speaks first."""
        super().connected(now_ms)
        if not self._host_session:
            (session,) = struct.unpack("<I", self._random(4))
            self._host_session = session or 1
        nonce, self.tag = self._random(16), struct.unpack("<H", self._random(2))[0]
        number = self.inbox.number if self._session else 0
        self._hello = struct.pack(spec.HELLO_STRUCT, nonce, self._session, number, self._host_session, self.tag, 0)
        self._proof = None
        self._proved = False
        self.error = None
        self.state = GREETING
        self._say(spec.FRAME_TYPE_HELLO, self._hello, now_ms)

    def _say(self, kind, payload, now_ms):
        self._greeting = (kind, payload)
        self._asked_ms = now_ms

    def tick(self, now_ms):
        """Ask again, or see whether the board has gone."""
        super().tick(now_ms)
        if self.state == GREETING and elapsed(now_ms, self._asked_ms) >= self._hello_ms:
            # Its answer, or the proof, was lost. HELLO brings the board's answer again.
            self._say(spec.FRAME_TYPE_HELLO, self._hello, now_ms)

    def due_ms(self, now_ms):
        """See Link.due_ms."""
        if self.state == GREETING:
            return max(0, self._hello_ms - elapsed(now_ms, self._asked_ms))
        return super().due_ms(now_ms)

    def _damage(self, code, now_ms):
        super()._damage(code, now_ms)
        if code == spec.ERROR_LINK_VERSION and self.parser.kind in _ANSWERS:
            self._fail(code, "the board's is %d, ours %d" % (self.parser.version, spec.VERSION_PROTOCOL))

    def _fail(self, code, detail, where=""):
        self.error = StapesError(code, where, detail)
        self.refusals += 1
        if self._log:
            self._log("link: " + str(self.error))
        self.disconnected(detail)

    def _greet(self, kind, payload, now_ms):
        if kind not in _ANSWERS:
            return False
        if kind == spec.FRAME_TYPE_REFUSED:
            self._hear_refusal(payload)
        elif self.state == GREETING:
            if kind == spec.FRAME_TYPE_CHALLENGE:
                self._hear_challenge(bytes(payload), now_ms)
            else:
                self._hear_ready(payload, now_ms)
        return True

    def _hear_refusal(self, payload):
        if len(payload) < 4:
            return
        code, version = struct.unpack_from("<hH", payload, 0)
        where, _, detail = _text(payload[4:]).partition("|")
        if version != spec.VERSION_PROTOCOL:
            code = spec.ERROR_LINK_VERSION
        self._fail(code, detail, where)

    def _hear_challenge(self, payload, now_ms):
        if len(payload) != spec.CHALLENGE_BYTES:
            return
        if self._key is None:
            self._fail(spec.ERROR_LINK_KEY, "the board asks for one")
            return
        nonce, proof = payload[:16], payload[16:]
        if not secrets.same(secrets.board_proof(self._key, self._hello, nonce), proof):
            self._fail(spec.ERROR_LINK_KEY, "the board did not prove it")
            return
        self._proved = True
        if self.seals and self._seal is None:
            self._seal = secrets.Seal(self._key, self._hello, nonce, False)
        self._say(spec.FRAME_TYPE_PROOF, secrets.host_proof(self._key, self._hello, nonce), now_ms)

    def _hear_ready(self, payload, now_ms):
        if len(payload) < spec.READY_BYTES or self.parser.tag != self.tag:
            return
        if self._key is not None and not self._proved:
            self._fail(spec.ERROR_LINK_KEY, "the board did not prove it")
            return
        session, first, number = struct.unpack_from(spec.READY_STRUCT, payload, 0)
        about = _about(payload[spec.READY_BYTES :])
        if about is None:
            self._fail(spec.ERROR_LINK_FRAME, "the board's READY is no JSON object")
            return
        self.about = about
        self.restarted = bool(self._session) and session != self._session
        if session != self._session or first != self.inbox.number:
            self.inbox.begin(first)
        self._session = session
        if not self.outbox.resume(number):
            # The board has restarted, or served another host: what it had not acknowledged is void.
            self.lost += self.outbox.restart()
        self.state = OPEN
        self._heard_ms = now_ms


def _text(payload):
    try:
        return bytes(payload).decode()
    except ValueError:
        return "unreadable"


def _about(payload):
    try:
        about = json.loads(bytes(payload).decode())
    except ValueError:
        return None
    return about if isinstance(about, dict) else None


_ANSWERS = (spec.FRAME_TYPE_CHALLENGE, spec.FRAME_TYPE_READY, spec.FRAME_TYPE_REFUSED)
