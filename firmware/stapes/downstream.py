"""Work that begins before the speaker has certainly finished: start, reset, confirm."""

from stapes import event as kinds


class Downstream:
    """Base of a handler; feed() it every event, override start(), reset() and confirm().

    For each utterance, whatever the link loses on the way:
        start, then confirm; or start, then reset, and perhaps start again.
    Nothing starts while something started is neither reset nor confirmed.

    Attributes:
        event: Event that start() was called with, None when nothing is started.
        missed: int, confirmations of what was never started here: the link gave up its lattice.
    """

    def __init__(self):
        self.event = None
        self.missed = 0

    def start(self, event):
        """Begin, in a way that can be undone.

        Args:
            event: Event, SPECULATIVE or LATTICE; its lattice, utterance and revision.
        """

    def reset(self):
        """Undo what start() began."""

    def confirm(self, event):
        """Make it last: the speaker has finished, and said what start() was given.

        Args:
            event: Event, CONFIRM or LATTICE.
        """

    def feed(self, event):
        """Take in the next event."""
        kind = event.kind
        if kind == kinds.SPECULATIVE:
            self._start(event)
        elif kind == kinds.LATTICE:
            self._start(event)
            self._confirm(event)
        elif kind == kinds.CONFIRM:
            if self.event is not None and self._same(event):
                self._confirm(event)
            else:
                self.missed += 1
                self._reset()
        elif kind in (kinds.RESET, kinds.GIVEN_UP, kinds.ERROR, kinds.STOPPED):
            # Of what was given up nothing is known: it may have been the order to reset.
            self._reset()

    def _same(self, event):
        return (event.utterance, event.revision) == (self.event.utterance, self.event.revision)

    def _start(self, event):
        self._reset()
        self.event = event
        self.start(event)

    def _reset(self):
        if self.event is not None:
            self.event = None
            self.reset()

    def _confirm(self, event):
        self.event = None
        self.confirm(event)
