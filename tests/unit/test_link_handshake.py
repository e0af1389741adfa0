"""Who may speak: wrong keys, old versions, replayed handshakes and nonsense are refused without a crash."""

import binascii
import hashlib
import hmac
import random
import struct

import pytest
import stapes_spec as spec
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_channel import NoisyChannel, Pair
from stapes.errors import StapesError
from stapes.link import secrets
from stapes.link.board_end import BoardLink
from stapes.link.frame import FrameWriter
from stapes.link.host_end import HostLink
from stapes.link.link import CLOSED, OPEN

KEY = bytes(range(32))


def ends(board_key=None, host_key=None, log=None, strict=True):
    def about():
        return {"id": "b"}

    board = BoardLink(about, board_key, random.Random(1).randbytes, log=log, strict=strict)
    host = HostLink(host_key, random.Random(2).randbytes)
    made = Pair(board, host, NoisyChannel(3), NoisyChannel(4))
    made.connect()
    return made


def settle(made, milliseconds=60):
    for _ in range(milliseconds):
        made.step()
    return made


def feed(link, data, now=0):
    """Give bytes to one end; return what it says to them."""
    view = memoryview(data)
    while view:
        view = view[link.parser.put(view) :]
        while link.receive(now):
            pass
    said = b""
    while (out := link.output(now)) is not None:
        said += bytes(out)
        link.sent(len(out))
    return said


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=100), st.binary(max_size=20))
def test_hmac_is_the_standard_one(key, first, second):
    assert secrets.hmac_sha256(key, first, second) == hmac.digest(key, first + second, hashlib.sha256)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_comparison(one, other):
    assert secrets.same(one, one)
    assert secrets.same(one, other) == (one == other)


def test_both_ends_prove_the_key():
    made = settle(ends(KEY, KEY))
    assert made.board.state == made.host.state == OPEN
    assert made.host.about == {"id": "b"}


def test_a_wrong_key_is_noticed_by_the_host():
    made = settle(ends(KEY, bytes(32)))
    assert made.host.error.code == spec.ERROR_LINK_KEY
    assert made.board.state != OPEN


def test_a_wrong_proof_is_refused_by_the_board_and_logged():
    lines = []
    made = ends(KEY, KEY, lines.append)
    made.host._key = KEY

    def forged(payload, now_ms):
        made.host._proved = True
        made.host._say(spec.FRAME_TYPE_PROOF, bytes(32), now_ms)

    made.host._hear_challenge = forged
    settle(made)
    assert made.board.state == CLOSED and made.board.refusals == 1
    assert made.host.error.code == spec.ERROR_LINK_KEY
    assert len(lines) == 1 and "wrong proof" in lines[0]


@pytest.mark.parametrize(("board_key", "host_key"), [(KEY, None), (None, KEY)])
def test_a_key_at_one_end_only_is_refused(board_key, host_key):
    made = settle(ends(board_key, host_key))
    assert made.host.error.code == spec.ERROR_LINK_KEY
    assert made.host.state == CLOSED


def test_a_replayed_handshake_is_refused():
    made = ends(KEY, KEY)
    recorded = []
    write = made.down.write

    def recording(data, now):
        recorded.append(bytes(data))
        return write(data, now)

    made.down.write = recording
    settle(made)
    assert made.board.state == OPEN and len(recorded) >= 2
    made.board.connected(1000)
    for data in recorded:
        feed(made.board, data, 1000)
    assert made.board.state == CLOSED and made.board.refusals == 1


def test_a_strangers_challenge_cannot_be_reflected():
    """A false board that has no key asks a true one for the proof: its answer fits its own nonce only."""
    made = ends(KEY, KEY)
    hello = bytes(made.host._hello)
    nonce = bytes(16)
    assert secrets.board_proof(KEY, hello, nonce) != secrets.host_proof(KEY, hello, nonce)


@pytest.mark.parametrize("version", [0, 1, spec.VERSION_PROTOCOL + 1, 255])
def test_another_version_is_refused_by_both_ends(version):
    lines = []
    made = ends(log=lines.append)
    for kind, link in ((spec.FRAME_TYPE_HELLO, made.board), (spec.FRAME_TYPE_READY, made.host)):
        body = struct.pack("<BBH", kind, version, 0) + bytes(40)
        said = feed(link, cobs.encode(body + struct.pack("<I", binascii.crc32(body))) + b"\0")
        assert link.state == CLOSED and link.refusals == 1
        assert str(version).encode() in said if link is made.board else True
    assert made.host.error.code == spec.ERROR_LINK_VERSION
    assert "versions" in lines[0]


def test_nobody_keeps_the_door_open():
    made = ends(KEY, KEY)
    made.down.cut = True
    settle(made, spec.LINK_HANDSHAKE_MS + 10)
    assert made.board.state == CLOSED and "no handshake in time" in made.board.reason


def test_a_board_that_cannot_hear_says_why():
    made = ends()

    def about():
        raise StapesError(spec.ERROR_MODEL_CRC, "/rom/model.tflite", "x")

    made.board._about = about
    settle(made)
    assert (made.host.error.code, made.host.error.where) == (spec.ERROR_MODEL_CRC, "/rom/model.tflite")


def frames():
    """Whole frames of any type with any header and payload."""
    fields = st.tuples(
        st.sampled_from([1, 2, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 99]),
        st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)),
        st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)),
        st.integers(0, 255),
        st.integers(0, 255),
        st.integers(0, 65535),
        st.one_of(st.binary(max_size=64), st.binary(min_size=28, max_size=32), st.just(b"\0" * 12 + b"{}")),
    )
    return fields.map(lambda values: bytes(FrameWriter(True).encode(*values)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(frames(), st.binary(max_size=200)), max_size=30), st.booleans(), st.booleans())
def test_nonsense_never_crashes_or_opens(parts, with_key, open_first):
    """Neither end fails; without the key neither opens; and a board serves the next host as ever."""
    made = ends(KEY if with_key else None, KEY if with_key else None)
    if open_first:
        settle(made)
    tag = made.host.tag
    now = made.now
    for part in parts:
        feed(made.board, part, now)
        feed(made.host, part, now)
        now += 10
        made.board.tick(now)
        made.host.tick(now)
    if with_key and not open_first:
        assert made.board.state != OPEN and made.host.state != OPEN
    made.now = now
    made.connect()
    settle(made)
    assert made.board.state == OPEN and made.host.state == OPEN and tag is not None
    made.board.send(spec.FRAME_TYPE_EVENT, b"after")
    settle(made, 400)
    assert made.heard_by_host[-1][1] == b"after"


@settings(max_examples=200, deadline=None)
@given(st.lists(frames(), max_size=30))
def test_nonsense_from_one_who_was_let_in_never_crashes(parts):
    made = settle(ends(KEY, KEY))
    for number, part in enumerate(parts):
        body = bytearray(cobs.decode(part.rstrip(b"\0"))[:-4])
        struct.pack_into("<H", body, spec.FRAME_TAG_OFFSET, made.host.tag)
        data = cobs.encode(bytes(body) + struct.pack("<I", binascii.crc32(body))) + b"\0"
        for link in (made.board, made.host):
            feed(link, data, made.now + number)
            link.tick(made.now + number)
    assert len(made.board.inbox._parts) == 0 and len(made.host.inbox._parts) <= spec.LINK_MESSAGE_BYTES


def test_frames_of_another_connection_are_ignored():
    made = settle(ends())
    stale = bytes(FrameWriter(True).encode(spec.FRAME_TYPE_COMMAND, 1, 1, 128, 0, made.host.tag ^ 1, b"old"))
    feed(made.board, stale)
    assert made.board.inbox.number == 1
