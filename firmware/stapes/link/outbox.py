"""What one end has to say: messages that must arrive, and messages that may be dropped.

Messages that must arrive are numbered from 1 and kept until the other end has acknowledged them;
after a loss everything from the lost frame on is sent again (go-back-N), so that a receiver needs
no memory for what comes too early. When memory is short, the oldest are given up, and the other
end is told so. The others travel in their places between them, once.

Reference: Tanenbaum, Computer Networks, "A protocol using go-back-n".
"""

import stapes_spec as spec

from stapes.link.clock import elapsed

_PIECE = spec.FRAME_PAYLOAD
_BITS = 7  # of the piece in a position


class RoundTrip:
    """Estimates how long an acknowledgement takes, and from that when to stop waiting for one.

    Args:
        first_ms: int, the wait as long as nothing is known.

    Attributes:
        mean_ms: int, of the times from a frame to its acknowledgement.

    Reference: RFC 6298; frames that were sent twice tell nothing (Karn's algorithm).
    """

    def __init__(self, first_ms):
        self._first_ms = first_ms
        self._known = False
        self.mean_ms = first_ms // 4
        self._deviation_ms = 0
        self._position = self._since_ms = 0

    def sent(self, position, now_ms):
        """Note a frame that an acknowledgement of position will confirm, unless one is being timed."""
        if not self._position:
            self._position, self._since_ms = position, now_ms

    def forget(self):
        """Do not time the frame that is on its way."""
        self._position = 0

    def acknowledged(self, position, now_ms):
        """Take in an acknowledgement; return how long to wait for the next, ms."""
        if self._position and position >= self._position:
            self._position = 0
            self._take(elapsed(now_ms, self._since_ms))
        if not self._known:
            return self._first_ms
        return max(spec.LINK_RESEND_LEAST_MS, self.mean_ms + 4 * self._deviation_ms)

    def _take(self, time_ms):
        if self._known:
            self._deviation_ms = (3 * self._deviation_ms + abs(time_ms - self.mean_ms) + 2) // 4
            self.mean_ms = (7 * self.mean_ms + time_ms + 4) // 8
        else:
            self.mean_ms, self._deviation_ms = time_ms, time_ms // 2
            self._known = True


class Outbox:
    """The sending end of one direction.

    Args:
        window: int, frames on their way at once.
        resend_ms: int, first wait for an acknowledgement.
        gives_up: bool, False refuses a message for which there is no room instead of giving up another.

    Attributes:
        kind, number, piece, payload: of the frame that next_frame() chose; payload is a memoryview.
        first: int, number of the oldest message kept.
        position: int, what the other end expects next: number << 7 | piece.
        given_up, dropped, resent: int, counts of messages, messages and times.
    """

    def __init__(self, window=spec.LINK_WINDOW_FRAMES, resend_ms=spec.LINK_RESEND_MS, gives_up=True):
        self._window = window
        self._rest_ms = self._wait_ms = resend_ms
        self._round = RoundTrip(resend_ms)
        self._gives_up = gives_up
        self._kinds, self._payloads = [], []
        self._bytes = 0
        self.first = 1
        # Positions: what the other end expects next, what is sent next, the end of all ever sent.
        self.position = self._at = self._far = 1 << _BITS
        self._flying = 0
        self._since_ms = self._back_ms = 0
        self._told = True  # the other end knows of what was given up, or the news is on its way
        self._spare = []  # (kind, payload, number of the message it goes before)
        self.given_up = self.dropped = self.resent = 0
        self.kind = self.number = self.piece = 0
        self.payload = None

    @property
    def pending(self):
        """int: messages that must arrive and have not been acknowledged."""
        return len(self._kinds)

    @property
    def busy(self):
        """bool: something is to be sent, or waits for its acknowledgement."""
        return bool(self._kinds or self._spare or self.position != self._at)

    @property
    def acked(self):
        """int: number of the oldest message that nobody has acknowledged."""
        return self.position >> _BITS

    @property
    def next_number(self):
        """int: number of the message whose frames are sent next."""
        return self._at >> _BITS

    def room_for(self, size):
        """Return whether a message of size bytes costs no other one its place."""
        return len(self._kinds) < spec.LINK_OUTBOX_MESSAGES and self._bytes + size <= spec.LINK_OUTBOX_BYTES

    def send(self, kind, payload):
        """Accept a message that must arrive.

        Args:
            kind: int, a type of spec.toml's frame_type.
            payload: buffer, kept, not copied; at most outbox_bytes.
        Returns:
            int: its number, or 0 if there was no room.
        Raises:
            ValueError: the message is too long.
        """
        size = len(payload)
        if size > spec.LINK_OUTBOX_BYTES:
            raise ValueError("a message of %d bytes: the most is %d" % (size, spec.LINK_OUTBOX_BYTES))
        while not self.room_for(size):
            if not self._gives_up:
                return 0
            self._give_up()
        self._kinds.append(kind)
        self._payloads.append(memoryview(payload))
        self._bytes += size
        return self.first + len(self._kinds) - 1

    def offer(self, kind, payload):
        """Accept a message that may be dropped: when too many wait, the oldest is."""
        if len(self._spare) >= spec.LINK_DROPPABLE_MESSAGES:
            self._spare.pop(0)
            self.dropped += 1
        self._spare.append((kind, memoryview(payload), self.first + len(self._kinds)))

    def drop_spare(self):
        """Drop what may be dropped: nobody is there."""
        self.dropped += len(self._spare)
        self._spare = []

    def _give_up(self):
        self._remove_first()
        self.given_up += 1
        begin = self.first << _BITS
        self._at, self._far = max(self._at, begin), max(self._far, begin)
        self._flying = self._count_flying()
        self._told = False

    def _remove_first(self):
        self._kinds.pop(0)
        self._bytes -= len(self._payloads.pop(0))
        self.first += 1

    def restart(self):
        """Forget everything and count from 1 again: the other end knows nothing of what was before.

        Returns:
            int: messages that are lost by it.
        """
        lost = len(self._kinds)
        self._kinds, self._payloads, self._spare = [], [], []
        self._bytes = self._flying = 0
        self.first = 1
        self.position = self._at = self._far = 1 << _BITS
        self._told = True
        return lost

    def resume(self, number):
        """Begin again at the message that a newly connected end expects.

        Args:
            number: int; 0 is the oldest that nobody has acknowledged.
        Returns:
            bool: False if no end of this direction can expect it.
        """
        number = number or self.acked
        if not self.acked <= number <= (self._far + (1 << _BITS) - 1) >> _BITS:
            return False
        self.position = self._at = number << _BITS
        self._round.forget()
        while self._kinds and self.first < number:
            self._remove_first()
        self._go_back()
        self._wait_ms = self._rest_ms
        return True

    def acknowledge(self, number, piece, gap, now_ms):
        """Take in what the other end expects next.

        Args:
            number, piece: int.
            gap: bool, it misses something.
            now_ms: int.
        """
        position = number << _BITS | piece
        if not self.position <= position <= self._far:
            return
        if position > self.position:
            self.position = position
            while self._kinds and self.first < number:
                self._remove_first()
            self._at = max(self._at, position)
            self._flying = self._count_flying()
            self._since_ms = now_ms
            self._rest_ms = self._wait_ms = self._round.acknowledged(position, now_ms)
        # What was on its way when we last went back may still complain: wait for as long as that takes.
        if gap and self.position < self._at and elapsed(now_ms, self._back_ms) >= self._round.mean_ms:
            self._back_ms = now_ms
            self._go_back()

    def _begin(self):
        """Return the position of the oldest frame that must still arrive."""
        return max(self.position, self.first << _BITS)

    def _count_flying(self):
        """Return how many frames have been sent and not acknowledged."""
        begin = self._begin()
        number, count = begin >> _BITS, -(begin & (1 << _BITS) - 1)
        while number < self._at >> _BITS:
            count += self._pieces(number)
            number += 1
        return count + (self._at & (1 << _BITS) - 1)

    def _pieces(self, number):
        return max(1, -(-len(self._payloads[number - self.first]) // _PIECE))

    def _go_back(self):
        self._round.forget()
        self._at = self._begin()
        self._flying = 0
        self._told = self.position == self._at

    def tick(self, now_ms):
        """Send again what has not been acknowledged in time."""
        if self.position < self._at and elapsed(now_ms, self._since_ms) >= self._wait_ms:
            self._since_ms = self._back_ms = now_ms
            self._wait_ms = min(2 * self._wait_ms, max(self._rest_ms, spec.LINK_RESEND_MOST_MS))
            self.resent += 1
            self._go_back()

    def due_ms(self, now_ms):
        """Return in how many milliseconds tick() has something to do; -1 if it has not."""
        if self.position >= self._at:
            return -1
        return max(0, self._wait_ms - elapsed(now_ms, self._since_ms))

    def next_frame(self, now_ms):
        """Choose the frame to send next and say that it is on its way.

        Returns:
            bool: False if there is none.
        """
        if not self._told:
            self._told = True
            self._since_ms = now_ms
            self._choose(spec.FRAME_TYPE_GIVEN_UP, self.first, 0, b"")
            return True
        while self._spare and self._spare[0][2] << _BITS <= self._at:
            kind, payload, number = self._spare.pop(0)
            if number << _BITS == self._at:
                self._choose(kind, number, spec.FRAME_PIECE_LAST, payload)
                return True
            self.dropped += 1
        return self._flying < self._window and self._next_piece(now_ms)

    def _next_piece(self, now_ms):
        number, piece = self._at >> _BITS, self._at & (1 << _BITS) - 1
        if number - self.first >= len(self._kinds):
            return False
        last = piece + 1 == self._pieces(number)
        payload = self._payloads[number - self.first][piece * _PIECE : (piece + 1) * _PIECE]
        flag = spec.FRAME_PIECE_LAST if last else 0
        self._choose(self._kinds[number - self.first], number, piece | flag, payload)
        if self.position == self._at:
            self._since_ms = now_ms
        self._at = number + 1 << _BITS if last else self._at + 1
        self._far = max(self._far, self._at)
        self._flying += 1
        self._round.sent(self._at, now_ms)
        return True

    def _choose(self, kind, number, piece, payload):
        self.kind, self.number, self.piece, self.payload = kind, number, piece, payload
