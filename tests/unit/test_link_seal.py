"""Frames on a stream that others can write to: what was changed, replayed, reflected or never sealed is not heard."""

import random

import pytest
import stapes_spec as spec
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_channel import NoisyChannel, Pair
from stapes.link.board_end import BoardLink
from stapes.link.frame import FrameWriter
from stapes.link.host_end import HostLink
from stapes.link.link import CLOSED, OPEN

KEY = bytes(range(32))
EVENT, COMMAND, NEWS = spec.FRAME_TYPE_EVENT, spec.FRAME_TYPE_COMMAND, spec.FRAME_TYPE_NEWS


class Wire:
    """Two ends, and all the bytes between them in the hands of a test."""

    def __init__(self, seals=True, key=KEY):
        self.board = BoardLink(lambda: {"id": "b"}, key, random.Random(1).randbytes)
        self.host = HostLink(key, random.Random(2).randbytes)
        self.board.seals = self.host.seals = seals
        self.now = 0
        self.heard = {self.board: [], self.host: []}
        self.seen = {self.board: [], self.host: []}  # what each has said, write by write
        for end in (self.board, self.host):
            end.connected(self.now)
        self.exchange()

    def said(self, end):
        """What an end says now."""
        out = []
        while (view := end.output(self.now)) is not None:
            out.append(bytes(view))
            end.sent(len(view))
        self.seen[end] += out
        return out

    def give(self, end, data):
        """Let an end hear bytes."""
        view = memoryview(data)
        while view:
            view = view[end.parser.put(view) :]
            while kind := end.receive(self.now):
                self.heard[end].append((kind, bytes(end.payload)))

    def exchange(self, milliseconds=40):
        for _ in range(milliseconds):
            self.now += 1
            for one, other in ((self.host, self.board), (self.board, self.host)):
                one.tick(self.now)
                for frame in self.said(one):
                    self.give(other, frame)


def opened(**options):
    wire = Wire(**options)
    assert wire.board.state == wire.host.state == OPEN
    return wire


def test_sealed_messages_arrive_both_ways():
    wire = opened()
    wire.board.send(EVENT, bytes(3000))
    wire.board.offer(b"news")
    wire.host.send(COMMAND, b"x" * spec.FRAME_PAYLOAD)
    wire.exchange()
    assert (EVENT, bytes(3000)) in wire.heard[wire.host] and (NEWS, b"news") in wire.heard[wire.host]
    assert wire.heard[wire.board] == [(COMMAND, b"x" * spec.FRAME_PAYLOAD)]
    assert wire.board.forged == wire.host.forged == 0


def test_a_channel_that_harms_bytes_loses_nothing():
    board = BoardLink(lambda: {}, KEY, random.Random(3).randbytes)
    made = Pair(board, HostLink(KEY, random.Random(4).randbytes), NoisyChannel(5, 0.005), NoisyChannel(6, 0.005))
    made.connect()
    for number in range(300):
        board.send(EVENT, b"%d" % number)
        for _ in range(50):
            made.step()
    for _ in range(20000):
        made.step()
    told = [payload for kind, payload in made.heard_by_host if kind == EVENT]
    assert told == [b"%d" % number for number in range(300)]


@pytest.mark.parametrize("listener", ["board", "host"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_replayed_or_made_up_is_not_heard(listener, data):
    wire = opened()
    end, other = (wire.board, wire.host) if listener == "board" else (wire.host, wire.board)
    kind = COMMAND if listener == "board" else EVENT
    other.send(kind, b"first")
    wire.exchange(3)
    before = list(wire.heard[end])
    assert before == [(kind, b"first")]
    recorded, own = wire.seen[other], wire.seen[end]
    for _ in range(data.draw(st.integers(1, 8))):
        how = data.draw(st.sampled_from(["replay", "reflect", "unsealed", "bent", "cut"]))
        if how == "replay":
            frame = data.draw(st.sampled_from(recorded))
        elif how == "reflect":
            frame = data.draw(st.sampled_from(own))
        else:
            frame = forged(data, end, how, recorded)
        if parsed_kind(frame) in (spec.FRAME_TYPE_HELLO, spec.FRAME_TYPE_CHALLENGE, spec.FRAME_TYPE_PROOF):
            continue  # they open no seal: test_link_handshake
        wire.give(end, frame)
    assert wire.heard[end] == before
    assert end.state == OPEN
    other.send(kind, b"second")
    wire.exchange(2000)
    assert wire.heard[end] == [*before, (kind, b"second")]


def parsed_kind(frame):
    from stapes.link.frame import FRAME, FrameParser

    parser = FrameParser()
    parser.put(frame)
    return parser.kind if parser.take() == FRAME else 0


def forged(data, end, how, recorded):
    """A frame with a right checksum and a wrong seal: none at all, of another frame, or of changed fields."""
    from stapes.link.frame import FrameParser

    source = FrameParser()
    source.put(data.draw(st.sampled_from(recorded)))
    source.take()
    payload = bytearray(source.buffer[source.PAYLOAD : source.payload_end])
    kinds = (spec.FRAME_TYPE_REFUSED, spec.FRAME_TYPE_BYE, spec.FRAME_TYPE_ACK, spec.FRAME_TYPE_GIVEN_UP, NEWS)
    kind = data.draw(st.sampled_from((*kinds, EVENT, COMMAND, spec.FRAME_TYPE_AUDIO, spec.FRAME_TYPE_READY)))
    if how == "unsealed":
        payload = data.draw(st.binary(max_size=100))
    elif how == "cut":
        payload = payload[: data.draw(st.integers(0, len(payload)))]
    elif payload:
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    number = end.inbox.number + data.draw(st.integers(0, 2))
    piece = data.draw(st.sampled_from([0, spec.FRAME_PIECE_LAST]))
    return bytes(
        FrameWriter(False).encode(kind, number, data.draw(st.integers(0, 9)), piece, 0, end.tag, bytes(payload))
    )


def test_a_sealed_frame_with_another_header_is_not_heard():
    """The checksum is made right again: only the seal can tell."""
    from stapes.link.frame import FrameParser

    wire = opened()
    wire.board.send(EVENT, b"lattice")
    (frame,) = wire.said(wire.board)
    parser = FrameParser()
    parser.put(frame)
    parser.take()
    payload = bytes(parser.buffer[parser.PAYLOAD : parser.payload_end])
    fields = parser.state[spec.FRAME_INDEX_TYPE :].tolist()
    for place, value in ((0, NEWS), (2, fields[2] + 1), (3, fields[3] + 1), (4, fields[4] + 1), (5, 0), (6, 1), (7, 0)):
        changed = [*fields]
        changed[place] = value
        writer = FrameWriter(False)
        writer.fields[spec.FRAME_INDEX_SEQUENCE] = changed[2]
        kind, _, _, number, ack, piece, ack_piece, tag = changed
        wire.give(wire.host, bytes(writer.encode(kind, number, ack, piece, ack_piece, tag, payload)))
    assert wire.heard[wire.host] == [] and wire.host.forged == 7
    wire.give(wire.host, frame)
    assert wire.heard[wire.host] == [(EVENT, b"lattice")]


def test_frames_of_another_connection_are_not_heard():
    wire = opened()
    wire.board.send(EVENT, b"secret order")
    (old,) = wire.said(wire.board)
    for end in (wire.board, wire.host):
        end.connected(wire.now)
    wire.exchange(5)
    assert wire.host.state == OPEN
    count = len(wire.heard[wire.host])
    wire.give(wire.host, old)
    assert len(wire.heard[wire.host]) == count


@pytest.mark.parametrize("seals", [(True, False), (False, True)])
def test_ends_that_do_not_agree_hear_nothing(seals):
    wire = Wire.__new__(Wire)
    wire.__dict__.update(now=0)
    wire.board = BoardLink(lambda: {}, KEY, random.Random(1).randbytes)
    wire.host = HostLink(KEY, random.Random(2).randbytes)
    wire.board.seals, wire.host.seals = seals
    wire.heard = {wire.board: [], wire.host: []}
    wire.seen = {wire.board: [], wire.host: []}
    for end in (wire.board, wire.host):
        end.connected(0)
    wire.exchange()
    wire.board.send(EVENT, b"x")
    wire.exchange()
    assert (EVENT, b"x") not in wire.heard[wire.host]


def test_without_a_key_and_over_tls_frames_are_as_long_as_ever():
    for options in ({"key": None}, {"seals": False}):
        wire = opened(**options)
        wire.board.send(EVENT, b"plain")
        (frame,) = wire.said(wire.board)
        assert len(frame) == 1 + spec.FRAME_BYTES + 5 + 4 + 1


def test_goodbye_needs_its_seal():
    wire = opened()
    wire.give(wire.board, bytes(FrameWriter(True).encode(spec.FRAME_TYPE_BYE, 0, 1, 0, 0, wire.board.tag, b"")))
    assert wire.board.state == OPEN
    wire.host.close()
    for frame in wire.said(wire.host):
        wire.give(wire.board, frame)
    assert wire.board.state == CLOSED
