"""What the recogniser has to say, in the order in which it happens."""

import stapes_spec as spec

LISTENING = spec.EVENT_KIND_LISTENING
SPEECH_START = spec.EVENT_KIND_SPEECH_START
PARTIAL = spec.EVENT_KIND_PARTIAL
ENDPOINT = spec.EVENT_KIND_ENDPOINT
LATTICE = spec.EVENT_KIND_LATTICE
INTENT = spec.EVENT_KIND_INTENT
OVERRUN = spec.EVENT_KIND_OVERRUN
ERROR = spec.EVENT_KIND_ERROR
STATISTICS = spec.EVENT_KIND_STATISTICS
SPECULATIVE = spec.EVENT_KIND_SPECULATIVE
RESET = spec.EVENT_KIND_RESET
CONFIRM = spec.EVENT_KIND_CONFIRM
GIVEN_UP = spec.EVENT_KIND_GIVEN_UP
STOPPED = spec.EVENT_KIND_STOPPED
TRACE = spec.EVENT_KIND_TRACE

NAMES = {
    LISTENING: "listening",
    SPEECH_START: "speech_start",
    PARTIAL: "partial",
    ENDPOINT: "endpoint",
    LATTICE: "lattice",
    INTENT: "intent",
    OVERRUN: "overrun",
    ERROR: "error",
    STATISTICS: "statistics",
    SPECULATIVE: "speculative",
    RESET: "reset",
    CONFIRM: "confirm",
    GIVEN_UP: "given_up",
    STOPPED: "stopped",
    TRACE: "trace",
}


class Event:
    """One event. Attributes that its kind does not have are None.

    Attributes:
        kind: int, one of this module's constants.
        time_ms: int, audio heard since listening began when the event was raised.
        words: list of str (PARTIAL): the best hypothesis so far.
        lattice: Lattice (LATTICE, SPECULATIVE); its times count from the utterance's first sample.
        intent: str or None when the words are no whole sentence of the grammar, or rejected (INTENT, SPECULATIVE,
            CONFIRM).
        slots: dict, slot name to spoken words (INTENT, SPECULATIVE, CONFIRM); empty when not understood.
        error: StapesError (ERROR).
        utterance: int, counted from the stream's begin; of every event inside an utterance.
        revision: int, of the utterance's lattice, from 0 (LATTICE, SPECULATIVE, RESET, CONFIRM).
        lost: int, samples (OVERRUN) or events (GIVEN_UP) that are lost.
        statistics: dict of int (STATISTICS): steps, light_steps, tokens_dropped, joint_evaluations, bytes.
        decided_us: int, the board's clock when the end-pointer decided (LATTICE, CONFIRM); not sent over the link.
        trace: dict (TRACE): what one step ran and took, see trace.TracedRecognizer; asked for at the
            recogniser or by a host's command to start; time_ms counts from the utterance's begin.
    """

    # Of the class, not of each event: a board makes one in a quarter of the time, and in less memory.
    words = lattice = intent = slots = error = statistics = utterance = None
    revision = lost = trace = decided_us = None

    def __init__(self, kind, time_ms, **details):
        self.kind = kind
        self.time_ms = time_ms
        for name, value in details.items():
            setattr(self, name, value)

    @property
    def name(self):
        """str: the kind in words."""
        return NAMES.get(self.kind, "event %d" % self.kind)

    @property
    def text(self):
        """str or None: the words as one line (PARTIAL), or the lattice's best path (LATTICE)."""
        if self.words is not None:
            return " ".join(self.words)
        return self.lattice.text if self.lattice is not None else None

    def __repr__(self):
        return "<%s %d ms %s>" % (self.name, self.time_ms, self.text or self.intent or self.error or "")
