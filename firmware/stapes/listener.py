"""Turns the recogniser's steps into events: speech, words, end-points, lattices, intents."""

import stapes_spec as spec

from stapes import event as kinds
from stapes.endpoint import Endpointer
from stapes.errors import StapesError
from stapes.event import Event

_SAMPLES_PER_MS = spec.AUDIO_SAMPLE_RATE_HZ // 1000


class Listener:
    """Watches one stream of samples.

    Steps without news allocate nothing. Use: accept() samples; while waiting, take() an event.

    Args:
        recognizer: Recognizer.
        single: bool, True stops after one utterance: what is accepted later is ignored.
    """

    def __init__(self, recognizer, single=False):
        self._recognizer = recognizer
        self._single = single
        self._endpointer = Endpointer()
        self._samples = 0
        self._events = []
        self._shown = []
        self._speech = False
        self.over = False
        self._tell(kinds.LISTENING)

    @property
    def waiting(self):
        """bool: there are events to take."""
        return bool(self._events)

    def take(self):
        """Return the oldest event not taken yet."""
        return self._events.pop(0)

    def accept(self, samples, count):
        """Recognise at most step_samples samples.

        Args:
            samples: buffer with int16 [count].
            count: int.
        """
        if self.over:
            return
        self._samples += count
        try:
            if self._recognizer.accept_chunk(samples):
                self._look()
        except StapesError as error:
            self._fail(error)

    def finish(self):
        """Say that there will be no more samples: ends the utterance if there is one."""
        if self.over:
            return
        try:
            self._recognizer.input_finished()
            self._look(endpointing=False)
            if self._speech or self._single:
                self._end()
        except StapesError as error:
            self._fail(error)
        self.over = True

    def _tell(self, kind, **details):
        self._events.append(Event(kind, self._samples // _SAMPLES_PER_MS, **details))

    def _look(self, endpointing=True):
        """See what the last step changed."""
        status = self._recognizer.status
        if not self._speech and self._endpointer.speech(status):
            self._speech = True
            self._tell(kinds.SPEECH_START)
        if self._speech and self._words_changed():
            self._shown = list(self._recognizer.words[: self._recognizer.partial_count()])
            self._tell(kinds.PARTIAL, words=self._recognizer.partial_words())
        if endpointing and self._endpointer.detected(status, len(self._shown)):
            self._tell(kinds.ENDPOINT)
            self._end()

    def _words_changed(self):
        count = self._recognizer.partial_count()
        if count != len(self._shown):
            return True
        words = self._recognizer.words
        for k in range(count):
            if words[k] != self._shown[k]:
                return True
        return False

    def _end(self):
        """Report the utterance and start the next."""
        recognizer = self._recognizer
        lattice = recognizer.lattice()
        understood = lattice.is_complete and lattice.intent is not None
        status = recognizer.status
        self._tell(kinds.LATTICE, lattice=lattice)
        self._tell(
            kinds.INTENT,
            intent=lattice.intent if understood else None,
            slots=lattice.slots if understood else {},
        )
        self._tell(
            kinds.STATISTICS,
            statistics={
                "steps": status[spec.STATUS_INDEX_STEPS],
                "light_steps": status[spec.STATUS_INDEX_LIGHT_STEPS],
                "tokens_dropped": status[spec.STATUS_INDEX_TOKENS_DROPPED],
                "joint_evaluations": status[spec.STATUS_INDEX_JOINT_EVALUATIONS],
                "bytes": recognizer.memory_bytes,
            },
        )
        self._restart()

    def _fail(self, error):
        """Report what went wrong and go on with a new utterance."""
        self._tell(kinds.ERROR, error=error)
        self._restart()

    def _restart(self):
        self.over = self._single
        self._speech = False
        self._shown = []
        if not self.over:
            self._recognizer.next_utterance()
