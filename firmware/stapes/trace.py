"""A recogniser that can tell, step by step, which branch ran, what it took and what it found."""

import time

import stapes_spec as spec

from stapes.endpoint import NOBODY
from stapes.event import TRACE, Event
from stapes.recognizer import Recognizer


class TracedRecognizer(Recognizer):
    """As Recognizer; while tracing, each step leaves a record, and allocates it. Without, it costs nothing.

    Attributes:
        tracing: bool, False at first; changes take hold at reset().
    """

    tracing = False

    def reset(self, utterance=0):
        """Forget everything heard, and the records of it."""
        self._records = []
        self._spent_us = 0
        self.step = self._step_traced if self.tracing else self._step_plain
        super().reset(utterance)

    def next_utterance(self):
        """As Recognizer's; records that nobody took stay."""
        self._shown = []
        self._joints = 0
        super().next_utterance()

    def take_records(self):
        """Return TRACE events of the steps since the last call, oldest first.

        Returns:
            list of Event; the dict of each: step (1 is the utterance's first); branch, as the specification numbers
            them; tokens, active in the search; blanks, steps since the best token's last unit; joints, evaluations of
            the joint in this step; us, microseconds from the step's samples to its search and the end-pointer's
            verdict, None without a clock; words, the best hypothesis, where this step changed it.
        """
        records, self._records = self._records, []
        return records

    _step_plain = Recognizer.step

    def _step_traced(self, samples, endpointer=NOBODY):
        began = _ticks_us()
        made = self._step_plain(samples, endpointer)
        # Samples that make up no step yet are paid for by the step that they end up in.
        self._spent_us += _ticks_diff(_ticks_us(), began)
        if made:
            record = self._record()
            time_ms = record["step"] * spec.FRONTEND_STEP_MS
            self._records.append(Event(TRACE, time_ms, utterance=self.utterance, trace=record))
            self._spent_us = 0
        return made

    def _record(self):
        status = self.status
        joints = status[spec.STATUS_INDEX_JOINT_EVALUATIONS]
        record = {
            "step": status[spec.STATUS_INDEX_STEPS],
            "branch": status[spec.STATUS_INDEX_BRANCH],
            "tokens": status[spec.STATUS_INDEX_ACTIVE_TOKENS],
            "blanks": status[spec.STATUS_INDEX_TRAILING_BLANKS],
            "joints": joints - self._joints,
            "us": self._spent_us if _HAS_CLOCK else None,
        }
        self._joints = joints
        shown = list(self.words[: self.partial_count()])
        if shown != self._shown:
            self._shown = shown
            record["words"] = self.partial_words()
        return record


try:
    _ticks_us, _ticks_diff, _HAS_CLOCK = time.ticks_us, time.ticks_diff, True
except AttributeError:  # CPython: its times say nothing of a board

    def _ticks_us():
        return 0

    def _ticks_diff(later, earlier):
        return later - earlier

    _HAS_CLOCK = False
