"""A stream of bytes in simulated time that drops, flips, duplicates, reorders and stalls some of them."""

import random
from collections import deque


class NoisyChannel:
    """One direction.

    Args:
        seed: int.
        rate: float, share of the bytes to which one of the five faults happens.
        delay_ms: int.
        bytes_per_ms: float, how much it carries.
        room: int, bytes that wait in it before it takes no more.
    """

    FAULTS = ("drop", "flip", "duplicate", "reorder", "stall")

    def __init__(self, seed, rate=0.0, delay_ms=2, bytes_per_ms=100.0, room=2048):
        self._random = random.Random(seed)
        self._rate = rate
        self._delay = delay_ms
        self._pace = bytes_per_ms
        self._room = room
        self._parts = deque()  # (due, bytes)
        self._waiting = 0
        self._free = 0.0
        self.faults = dict.fromkeys(self.FAULTS, 0)
        self.cut = False

    def write(self, data, now):
        """Take what there is room for; return how many bytes."""
        if self.cut:
            return len(data)
        taken = bytes(data[: max(0, self._room - self._waiting)])
        if not taken:
            return 0
        self._free = max(self._free, now) + len(taken) / self._pace
        damaged, stall = self._damage(taken)
        self._free += stall
        self._parts.append((self._free + self._delay, damaged))
        self._waiting += len(damaged)
        return len(taken)

    def read(self, now):
        """Return what has arrived."""
        arrived = bytearray()
        while self._parts and self._parts[0][0] <= now:
            arrived += self._parts.popleft()[1]
        self._waiting -= len(arrived)
        return b"" if self.cut else bytes(arrived)

    def next_due(self):
        """When something arrives, or None."""
        return self._parts[0][0] if self._parts else None

    def clear(self):
        """Lose everything on its way."""
        self._parts.clear()
        self._waiting = 0

    def _damage(self, data):
        if not self._rate:
            return data, 0
        out = bytearray(data)
        stall = 0
        at = self._skip()
        while at < len(out):
            fault = self._random.choice(self.FAULTS)
            self.faults[fault] += 1
            if fault == "drop":
                del out[at]
            elif fault == "flip":
                out[at] ^= 1 << self._random.randrange(8)
            elif fault == "duplicate":
                out.insert(at, out[at])
            elif fault == "reorder":
                other = min(len(out) - 1, at + self._random.randrange(1, 40))
                out[at], out[other] = out[other], out[at]
            else:
                stall += self._random.randrange(1, 5)
            at += 1 + self._skip()
        return bytes(out), stall

    def _skip(self):
        """Bytes up to the next fault: geometric."""
        return int(self._random.expovariate(self._rate))


class Pair:
    """A board's link and a host's, their channels, and the clock.

    Args:
        board, host: Link.
        up: NoisyChannel from board to host; down: from host to board.
    """

    def __init__(self, board, host, up, down):
        self.board, self.host, self.up, self.down = board, host, up, down
        self.now = 0
        self.heard_by_host = []
        self.heard_by_board = []

    def connect(self):
        """Begin a stream at both ends."""
        for channel in (self.up, self.down):
            channel.clear()
            channel.cut = False
        self.board.connected(self.now)
        self.host.connected(self.now)

    def cut(self):
        """Lose the stream, and what is on its way in it."""
        for channel in (self.up, self.down):
            channel.clear()
            channel.cut = True
        self.board.disconnected()
        self.host.disconnected()

    def step(self, milliseconds=1):
        """Move bytes; then the clock."""
        self._move(self.board, self.down, self.up, self.heard_by_board)
        self._move(self.host, self.up, self.down, self.heard_by_host)
        self.now += milliseconds

    def _move(self, link, source, sink, heard):
        now = int(self.now)
        data = source.read(self.now)
        while data:
            data = data[link.parser.put(data) :]
            while kind := link.receive(now):
                heard.append((kind, link.inbox.missed if kind == 9 else bytes(link.payload)))
        link.tick(now)
        while (out := link.output(now)) is not None:
            taken = sink.write(out, self.now)
            if taken:
                link.sent(taken)
            if taken < len(out):
                break
