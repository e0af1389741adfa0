"""The streaming recogniser: samples in, a lattice out."""

from array import array

import stapes_spec as spec

from stapes import kernels as board_kernels
from stapes.context import compile_context
from stapes.digest import digest
from stapes.endpoint import NOBODY
from stapes.errors import StapesError, check
from stapes.grammar import Grammar
from stapes.lattice import Lattice
from stapes.listening import Listening
from stapes.model import Model

_CHUNK = spec.FRONTEND_STEP_SAMPLES  # so many samples complete at most one step
_MAX_WORDS = 64  # of a partial result
_MOST_BEAM = 32  # nats


class Recognizer:
    """Recognises utterances with one model and one grammar.

    All memory is allocated here; steps allocate nothing. Not to be called from interrupts.

    Args:
        model: str, path of a .tflite model (read in place from a ROMFS), or its bytes.
        grammar: str, path of a compiled grammar (.stg), or its bytes.
        effort: float, see the property.
        kernels: module with the methods of docs/kernels_api.md; by default the fastest there is.
        max_context: int, 0 to 255, room for a context: its distinct beginnings of phrases, and one; 8 bytes each.
    Raises:
        StapesError: a file is missing, damaged or of another version, they do not belong together,
            or memory does not suffice.
        ValueError: the effort is not between 0 and 1.
    """

    def __init__(self, model, grammar, effort=spec.ARBITRATOR_EFFORT_PERCENT / 100, kernels=None, max_context=None):
        self.effort = effort
        self._hashes = None
        self._max_context = spec.SEARCH_MAX_CONTEXT if max_context is None else max_context
        self._lattice_budget = spec.SEARCH_LATTICE_BUDGET
        self._kernels = kernels or board_kernels.native
        self.model = Model(model, self._kernels)
        self.grammar = Grammar(grammar, self._kernels)
        if self.grammar.units_crc != self.model.units_crc:
            raise StapesError(spec.ERROR_GRAPH_UNITS, self.grammar.where)
        self._config = self._search_config()
        try:
            self._allocate()
        except MemoryError:
            raise StapesError(spec.ERROR_MODEL_MEMORY, self.model.where)
        model, graph = self.model, self.grammar
        check(self._kernels.decoder_init(self._decoder, model.state, model.data, graph.data, self._config), graph.where)
        self.reset()

    def hashes(self):
        """Return what tells the files apart: (model's, grammar's) first 16 digits of SHA-256.

        The first call reads all of both files: let it be before a microphone runs.
        """
        if self._hashes is None:
            self._hashes = digest(self.model.data), digest(self.grammar.data)
        return self._hashes

    def _search_config(self):
        config = array("i", [0] * spec.CONFIG_INDEX_COUNT)
        config[spec.CONFIG_INDEX_MAX_TOKENS] = spec.SEARCH_MAX_TOKENS
        config[spec.CONFIG_INDEX_BEAM] = spec.SEARCH_BEAM
        config[spec.CONFIG_INDEX_LATTICE_BEAM] = spec.SEARCH_LATTICE_BEAM
        config[spec.CONFIG_INDEX_MAX_ALTERNATIVES] = spec.SEARCH_MAX_ALTERNATIVES
        config[spec.CONFIG_INDEX_MAX_NODES] = spec.SEARCH_MAX_NODES
        config[spec.CONFIG_INDEX_MAX_EDGES] = spec.SEARCH_MAX_EDGES
        config[spec.CONFIG_INDEX_MAX_CONTEXT] = self._max_context
        config[spec.CONFIG_INDEX_BLANK_PENALTY] = self.model.blank_penalty
        config[spec.CONFIG_INDEX_START_DISCOUNT] = self.model.start_discount
        config[spec.CONFIG_INDEX_LANGUAGE_SCALE] = self.model.language_scale
        config[spec.CONFIG_INDEX_REJECTION] = self.model.rejection
        return config

    def _allocate(self):
        model, grammar, kernels = self.model, self.grammar, self._kernels
        size = kernels.decoder_size(model.state, model.data, grammar.data, self._config)
        self._decoder = bytearray(check(size, grammar.where))
        self._frontend = bytearray(check(kernels.frontend_size()))
        self._lattice = bytearray(spec.SEARCH_LATTICE_BUDGET)  # it grows with a budget, or a sentence, that is longer
        self._status = array("i", [0] * spec.STATUS_INDEX_COUNT)
        self._words = array("H", [0] * _MAX_WORDS)
        self._silence = array("h", [0] * _CHUNK)
        # Every name looked up costs a board time in each step.
        self._make_step = kernels.recognizer_step
        self._state, self._data, self._graph = model.state, model.data, grammar.data

    @property
    def effort(self):
        """float, 0 to 1, in hundredths: how readily a model with branches takes the heavy one.

        The heavy encoder runs where the arbitrator finds it worth its work with a probability of at least
        1 - effort: 1 always, 0 never. May be set at any time; the next step obeys. A model without branches takes
        no notice. Raises ValueError outside of 0 to 1.
        """
        return self._effort_percent / 100

    @effort.setter
    def effort(self, value):
        if not 0 <= value <= 1:
            raise ValueError("effort must be from 0 to 1, is %r" % (value,))
        self._effort_percent = int(100 * value + 0.5)

    @property
    def lattice_bytes(self):
        """int: the most that a lattice may take; alternatives that do not fit are left out, the best path never.

        May be set at any time, from 1 (the best path alone) to spec.SEARCH_LATTICE_BYTES. Raises ValueError, and
        StapesError where there is no memory for so many.
        """
        return self._lattice_budget

    @lattice_bytes.setter
    def lattice_bytes(self, value):
        if not isinstance(value, int) or not 1 <= value <= spec.SEARCH_LATTICE_BYTES:
            raise ValueError("lattice_bytes must be from 1 to %d, is %r" % (spec.SEARCH_LATTICE_BYTES, value))
        self._lattice_budget = value
        if value > len(self._lattice):
            self._lattice = _buffer(value)

    @property
    def lattice_beam(self):
        """float: alternatives worse than the best path by more than so many nats are left out.

        May be set at any time, from 0 to 32; the next utterance obeys. Raises ValueError.
        """
        return self._config[spec.CONFIG_INDEX_LATTICE_BEAM] / (1 << spec.Q_LOG_PROB_FRACTION_BITS)

    @lattice_beam.setter
    def lattice_beam(self, value):
        if not isinstance(value, (int, float)) or not 0 <= value <= _MOST_BEAM:
            raise ValueError("lattice_beam must be a number from 0 to %d, is %r" % (_MOST_BEAM, value))
        self._config[spec.CONFIG_INDEX_LATTICE_BEAM] = int(value * (1 << spec.Q_LOG_PROB_FRACTION_BITS) + 0.5)

    @property
    def rejection(self):
        """float: a command whose doubt (Lattice.doubt) exceeds so many nats was not meant, and has no intent.

        By default the model's; 0: none is rejected. The less, the fewer false alarms and the more commands to be said
        again. May be set at any time, from 0 to 63; the next utterance obeys. Raises ValueError.
        """
        return self._config[spec.CONFIG_INDEX_REJECTION] / (1 << spec.Q_LOG_PROB_FRACTION_BITS)

    @rejection.setter
    def rejection(self, value):
        if not isinstance(value, (int, float)) or not 0 <= value <= spec.LIMITS_REJECTION:
            raise ValueError("rejection must be a number from 0 to %d, is %r" % (spec.LIMITS_REJECTION, value))
        self._config[spec.CONFIG_INDEX_REJECTION] = int(value * (1 << spec.Q_LOG_PROB_FRACTION_BITS) + 0.5)

    def set_context(self, phrases, boost=None):
        """Say which phrases are likely now: the paths that say them score higher, from the next step on.

        Shallow fusion: each time a path says a phrase it gains the boost for each of the phrase's words. What an
        earlier call said is forgotten; without phrases nothing is likelier than anything else.

        Args:
            phrases: list of str, words of the grammar; or dict of str -> boost for each word of the phrase.
            boost: float, nats from 0 to 16; None: 1. A phrase gains 16 at most.
        Raises:
            StapesError: a word is not one of the grammar's (where: the word), or there is no room for so many.
            TypeError, ValueError: phrases or boost are of another kind.
        """
        table = compile_context(self.grammar, phrases, boost)
        size = len(table) // spec.CONTEXT_NODE_BYTES
        if size > self._max_context:
            detail = "%d, and there is room for %d" % (size - 1, max(self._max_context - 1, 0))
            raise StapesError(spec.ERROR_CONTEXT_SIZE, "context", detail)
        check(self._kernels.decoder_context(self._decoder, self.grammar.data, table))

    @property
    def memory_bytes(self):
        """int: bytes of state, without the model's and the grammar's files."""
        buffers = (self.model.state, self._decoder, self._frontend, self._lattice)
        return sum([len(buffer) for buffer in buffers])

    @property
    def kernels(self):
        """The kernel module that it runs on."""
        return self._kernels

    @property
    def decoder(self):
        """bytearray: the decoder's state, which the end-pointers look at."""
        return self._decoder

    @property
    def status(self):
        """int32 [status_index.count]: figures of the search and of the branches, current after each step."""
        return self._status

    @property
    def words(self):
        """uint16 [n]: word indices of the best hypothesis; the first partial_count() are valid."""
        return self._words

    @property
    def utterance(self):
        """int: number of the utterance being heard."""
        return self._utterance

    def listen(self, microphone, endpointer=None):
        """Return the events for as long as the microphone delivers sound.

        After each utterance the recogniser is ready for the next. A recording's end ends the last
        utterance.

        Args:
            microphone: has readinto(array int16 [n]) -> samples, 0 at the end.
            endpointer: see Listener.
        Returns:
            Listening: for a `for` loop, for `async for`, or run(function).
        """
        return Listening(self, microphone, endpointer)

    def reset(self, utterance=0):
        """Forget everything heard: the next sample is the first of a new stream.

        Args:
            utterance: int, number of the stream's first utterance, written into its lattice.
        """
        self._utterance = utterance - 1
        check(self._kernels.frontend_init(self._frontend, self.model.prior), self.model.where)
        self.next_utterance()

    def next_utterance(self):
        """Start another utterance of the same stream; the front end keeps its running mean."""
        self._utterance += 1
        self.model.reset()
        check(self._kernels.decoder_restart(self._decoder, self.grammar.data, self._config), self.grammar.where)
        check(self._kernels.decoder_status(self._decoder, self.grammar.data, self._status))
        self._status[spec.STATUS_INDEX_BRANCH] = spec.BRANCH_HEAVY
        self._status[spec.STATUS_INDEX_LIGHT_STEPS] = 0
        self._words[0] = spec.LIMITS_NONE16

    def accept_waveform(self, samples):
        """Decode every whole step in samples.

        Args:
            samples: array int16 [n] or a memoryview of one, mono PCM, 16 kHz; n may be 0.
        Returns:
            int: new steps of 30 ms.
        Raises:
            ValueError: samples are not int16.
            StapesError: a kernel failed.
        """
        if isinstance(samples, (bytes, bytearray)) or getattr(samples, "itemsize", 2) != 2:
            raise ValueError("samples must be int16: an array of typecode 'h'")
        steps = 0
        if len(samples) <= _CHUNK:
            return self.accept_chunk(samples)
        view = memoryview(samples)
        for begin in range(0, len(samples), _CHUNK):
            steps += self.accept_chunk(view[begin : begin + _CHUNK])
        return steps

    def accept_chunk(self, samples):
        """Decode at most step_samples samples. Allocates nothing.

        Args:
            samples: buffer with int16 [n], n <= step_samples.
        Returns:
            int: new steps, 0 or 1.
        """
        return 1 if self.step(samples) else 0

    def step(self, samples, endpointer=NOBODY):
        """The same, and ask an end-pointer, in one call of the kernels. Allocates nothing.

        Args:
            samples: as accept_chunk's.
            endpointer: bytearray, the state of an end-pointer (Endpointers.state); empty: nobody is asked.
        Returns:
            int: 0 while the samples complete no step, else spec.STEP_MADE, with spec.STEP_WORDS where the best
            hypothesis has other words than before, and spec.STEP_VERDICT times the verdict.
        Raises:
            StapesError: a kernel failed.
        """
        result = self._make_step(
            self._frontend,
            samples,
            self._state,
            self._data,
            self._decoder,
            self._graph,
            self._status,
            self._words,
            endpointer,
            self._effort_percent,
        )
        if result < 0:
            self._refuse(result)
        return result

    def _refuse(self, error):
        who = self._status[spec.STATUS_INDEX_BRANCH]
        of_the_model = who in (spec.REFUSAL_ENCODER, spec.REFUSAL_END_POINTER)
        check(error, self.model.where if of_the_model else "")

    def input_finished(self):
        """Feed the silence that brings out the last words; call it after the last sample.

        Returns:
            int: new steps.
        """
        steps = 0
        for _ in range(max(self.model.flush_steps, spec.ENDPOINT_FLUSH_STEPS)):
            steps += self.accept_chunk(self._silence)
        return steps

    def partial_count(self):
        """Bring self.words up to date and return how many words they are. Allocates nothing."""
        count = self._kernels.decoder_partial(self._decoder, self.grammar.data, self._words)
        if count < 0:
            check(count)
        return count if count < _MAX_WORDS else _MAX_WORDS

    def partial_words(self):
        """Return the best hypothesis so far, a list of str."""
        return [self.grammar.word_text(self._words[k]) for k in range(self.partial_count())]

    def partial_result(self):
        """Return the best hypothesis so far as one line."""
        return " ".join(self.partial_words())

    def lattice(self, revision=0):
        """Return the utterance's Lattice so far; after input_finished() it is the final one.

        Args:
            revision: int, written into the lattice.
        Raises:
            StapesError: the best path alone takes more than spec.SEARCH_LATTICE_BYTES, or there is no memory for it.
        """
        size = self._write_lattice(revision)
        while size == -spec.ERROR_BUFFER_SMALL and len(self._lattice) < spec.SEARCH_LATTICE_BYTES:
            self._lattice = _buffer(min(2 * len(self._lattice), spec.SEARCH_LATTICE_BYTES))
            size = self._write_lattice(revision)
        return Lattice(bytes(memoryview(self._lattice)[: check(size, self.grammar.where)]), checked=True)

    def _write_lattice(self, revision):
        return self._kernels.decoder_lattice(
            self._decoder, self.grammar.data, self._lattice, self._utterance, revision, self._lattice_budget
        )


def _buffer(size):
    try:
        return bytearray(size)
    except MemoryError:
        raise StapesError(spec.ERROR_MODEL_MEMORY)
