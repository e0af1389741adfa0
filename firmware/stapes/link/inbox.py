"""What one end hears: each numbered message once and in order, the others in their places or not at all."""

import stapes_spec as spec

_LAST = spec.FRAME_PIECE_LAST
_SEQUENCES = 0xFFFF
_HALF = 0x8000


class Inbox:
    """The receiving end of one direction.

    Args:
        most_bytes: int, of a message in pieces; 0 takes messages of one piece only and needs no memory.
        news: bool, the other end sends messages that may be dropped: boards do, hosts do not.

    Attributes:
        number, piece: int, what is expected next.
        payload: memoryview or bytes of the message that accept() completed.
        missed: int, messages that the sender gave up before they came, of the last given_up().
        stale: int, droppable messages that came too late or twice.
        too_long: bool, the other end sent a message of more than most_bytes.
    """

    def __init__(self, most_bytes=0, news=True):
        self._most = most_bytes
        self.news = news
        self._parts = bytearray()
        self.number, self.piece = 1, 0
        self.payload = None
        self.missed = self.stale = 0
        self.due = self.gap = False  # an acknowledgement; one that says that something is missing
        self.too_long = False
        self._newest = -1

    def begin(self, number):
        """Expect a message next, of a new connection."""
        self._parts = bytearray()
        self.number, self.piece = number, 0
        self.due = self.gap = False
        self._newest = -1

    def forget_parts(self):
        """The connection has gone: a message that was cut comes again from its begin."""
        self.begin(self.number)

    def accept(self, number, piece, payload):
        """Take a frame of a message that must arrive.

        Args:
            number, piece: int, of the frame's header.
            payload: memoryview, valid until the next frame.
        Returns:
            bool: True if it completes the message, which is then in self.payload.
        """
        self.due = True
        index = piece & ~_LAST
        if number != self.number or index != self.piece:
            self.gap = self.gap or number > self.number or (number == self.number and index > self.piece)
            return False
        if index == 0 and piece & _LAST:
            self.payload = payload
        elif not self._append(payload):
            return False
        elif not piece & _LAST:
            self.piece += 1
            return False
        else:
            self.payload = self._parts
            self._parts = bytearray()
        self.number, self.piece = self.number + 1, 0
        return True

    def _append(self, payload):
        if len(self._parts) + len(payload) > self._most:
            self.too_long = True
            return False
        self._parts += payload
        return True

    def newer(self, sequence):
        """Return whether a frame was sent after every other that has arrived, and note it."""
        if self._newest >= 0 and not 0 < (sequence - self._newest) & _SEQUENCES < _HALF:
            return False
        self._newest = sequence
        return True

    def accept_droppable(self, number, newer):
        """Return whether a message that may be dropped has come in its place and not twice.

        Args:
            number: int, of the frame's header.
            newer: bool, what newer() says of the frame.
        """
        if newer and number == self.number and self.piece == 0:
            return True
        self.stale += 1
        self.gap = self.gap or number > self.number
        return False

    def skip(self, number):
        """Do without the messages before a number: their sender has given them up.

        Returns:
            bool: True if that is news; how many they are is then in self.missed.
        """
        self.due = True
        if number <= self.number:
            return False
        self.missed = number - self.number
        self.number, self.piece = number, 0
        self._parts = bytearray()
        return True
