"""Turns the recogniser's steps into events: speech, words, end-points, lattices, intents."""

from array import array

import stapes_spec as spec

from stapes import event as kinds
from stapes.endpoint import NOBODY, Endpointer, Endpointers
from stapes.errors import StapesError
from stapes.event import Event
from stapes.link.clock import ticks_us

_SAMPLES_PER_MS = spec.AUDIO_SAMPLE_RATE_HZ // 1000
_MADE = spec.STEP_MADE
_WORDS = spec.STEP_WORDS
_VERDICT = spec.STEP_VERDICT


class FinalOnly:
    """An end-pointer that never speculates, made from one that only knows the end.

    It shows what Listener asks of an end-pointer: speech(status), verdict(status, word_count), reset(). One on the
    kernels has `state` besides, which Recognizer.step takes: it is then not asked for a verdict.

    Args:
        endpointer: has speech(status) and detected(status, word_count).
    """

    def __init__(self, endpointer):
        self.speech = endpointer.speech
        self._detected = endpointer.detected

    def verdict(self, status, word_count):
        """Return what the last step means for the utterance.

        Args:
            status: int32 [status_index.count], as decoder_status fills it.
            word_count: int, words of the best hypothesis.
        Returns:
            int: spec.VERDICT_NONE, _SPECULATE (the speaker seems to have finished), _RETRACT (but
            goes on) or _FINAL.
        """
        return spec.VERDICT_FINAL if self._detected(status, word_count) else spec.VERDICT_NONE

    def reset(self):
        """Begin another utterance."""


class Listener:
    """Watches one stream of samples.

    Steps without news allocate nothing. Use: accept() samples; while waiting, take() an event.

    An utterance ends in LATTICE, INTENT, STATISTICS. If the end-pointer speculated before, SPECULATIVE
    has started downstream work with an earlier lattice; then either RESET comes before LATTICE, or
    CONFIRM instead of it: the words and their meaning are those of the speculative lattice.

    Args:
        recognizer: Recognizer.
        single: bool, True stops after one utterance: what is accepted later is ignored.
        endpointer: see FinalOnly; by default the model's two end-pointers if it has them, else rules
            on trailing silence that do not speculate.
    """

    def __init__(self, recognizer, single=False, endpointer=None):
        self._recognizer = recognizer
        self._single = single
        self._endpointer = endpointer or _usual(recognizer)
        self._state = getattr(self._endpointer, "state", NOBODY)
        self._samples = [0]  # in a list: a board stores there in half the time
        self._events = []
        self._shown = array("H", recognizer.words)
        self._shown_count = 0
        self._told = []  # the same as text: words of two slots may read alike
        self._speech = False
        self._news = False  # the best hypothesis may have other words than those shown
        self._revision = 0
        self._decided_us = None
        self._started = None  # words, intent and slots of the lattice that downstream works with
        self.over = False
        self._endpointer.reset()
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
        self._samples[0] += count
        try:
            step = self._recognizer.step(samples, self._state)
            # Most steps of speech end here: no other words, no verdict.
            if step and (step != _MADE or not self._speech or not self._state):
                self._look(step)
        except StapesError as error:
            self._fail(error)

    def overrun(self, lost):
        """Report samples that were lost before those that are accepted next.

        Args:
            lost: int.
        """
        self._samples[0] += lost
        self._tell(kinds.OVERRUN, lost=lost)

    def fault(self, error):
        """Report what is wrong with the sound; the utterance goes on.

        Args:
            error: StapesError.
        """
        self._tell(kinds.ERROR, error=error)

    def finish(self):
        """Say that there will be no more samples: ends the utterance if there is one."""
        if self.over:
            return
        try:
            self._recognizer.input_finished()
            self._decided_us = ticks_us()
            self._see(_WORDS)  # of all the steps that the silence made
            if self._speech or self._single:
                self._end()
        except StapesError as error:
            self._fail(error)
        self.over = True

    def _tell(self, kind, **details):
        utterance = self._recognizer.utterance
        self._events.append(Event(kind, self._samples[0] // _SAMPLES_PER_MS, utterance=utterance, **details))

    def _look(self, step):
        """See what a step changed, and do what the end-pointer says."""
        self._see(step)
        if self._state:
            verdict = step // _VERDICT
        else:
            verdict = self._endpointer.verdict(self._recognizer.status, self._shown_count)
        if verdict:
            self._obey(verdict)

    def _see(self, step):
        """Tell of speech that begins, and of words that read otherwise than those told last."""
        if step & _WORDS:
            self._news = True
        if not self._speech and self._endpointer.speech(self._recognizer.status):
            self._speech = True
            self._tell(kinds.SPEECH_START)
        if self._speech and self._news:
            self._news = False
            if self._words_changed():
                self._tell_words(self._recognizer.partial_words())

    def _tell_words(self, words):
        if words != self._told:
            self._told = words
            self._tell(kinds.PARTIAL, words=words)

    def _obey(self, verdict):
        """Do what the end-pointer's verdict asks for."""
        if verdict == spec.VERDICT_FINAL:
            self._decided_us = ticks_us()
            self._tell(kinds.ENDPOINT)
            self._end()
        elif verdict == spec.VERDICT_SPECULATE and self._started is None:
            self._speculate()
        elif verdict == spec.VERDICT_RETRACT and self._started is not None:
            self._retract()

    def _words_changed(self):
        count = self._recognizer.partial_count()
        words = self._recognizer.words
        changed = count != self._shown_count or words[:count] != self._shown[:count]
        self._shown[:] = words
        self._shown_count = count
        return changed

    def _speculate(self):
        """Let downstream begin with what has been said so far."""
        lattice = self._recognizer.lattice(self._revision + spec.REVISION_SPECULATIVE)
        intent, slots = lattice.meaning
        self._started = (lattice.text, intent, slots)
        self._tell(kinds.SPECULATIVE, lattice=lattice, revision=self._revision, intent=intent, slots=slots)

    def _retract(self):
        """Let downstream undo what it began."""
        self._tell(kinds.RESET, revision=self._revision)
        self._revision += 1
        self._started = None

    def _end(self):
        """Report the utterance and start the next."""
        recognizer = self._recognizer
        lattice = recognizer.lattice(self._revision)
        intent, slots = lattice.meaning
        if self._started == (lattice.text, intent, slots):
            self._tell(kinds.CONFIRM, revision=self._revision, intent=intent, slots=slots, decided_us=self._decided_us)
        else:
            if self._started is not None:
                self._retract()
                lattice = recognizer.lattice(self._revision)
            self._tell(kinds.LATTICE, lattice=lattice, revision=self._revision, decided_us=self._decided_us)
        self._tell(kinds.INTENT, intent=intent, slots=slots)
        self._tell(kinds.STATISTICS, statistics=self._statistics())
        self._restart()

    def _statistics(self):
        status = self._recognizer.status
        return {
            "steps": status[spec.STATUS_INDEX_STEPS],
            "light_steps": status[spec.STATUS_INDEX_LIGHT_STEPS],
            "tokens_dropped": status[spec.STATUS_INDEX_TOKENS_DROPPED],
            "joint_evaluations": status[spec.STATUS_INDEX_JOINT_EVALUATIONS],
            "bytes": self._recognizer.memory_bytes,
        }

    def _fail(self, error):
        """Report what went wrong and go on with a new utterance."""
        if self._started is not None:
            self._retract()
        self._tell(kinds.ERROR, error=error)
        self._restart()

    def _restart(self):
        self.over = self._single
        self._speech = False
        self._news = False
        self._shown_count = 0
        self._told = []
        self._revision = 0
        self._started = None
        self._endpointer.reset()
        if not self.over:
            self._recognizer.next_utterance()


def _usual(recognizer):
    return Endpointers(recognizer) if recognizer.model.has_endpointer else FinalOnly(Endpointer())
