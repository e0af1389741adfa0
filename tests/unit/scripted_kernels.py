"""A kernel module whose search follows a script: for tests of what comes after the search.

Runs on MicroPython too. The script lists, per step, (units emitted, trailing blanks, on a final
state, word indices); its last entry repeats.
"""

import binascii
import struct

import stapes_spec as spec

_WINDOW = spec.FRONTEND_FRAME_LENGTH + 2 * spec.FRONTEND_FRAME_SHIFT


class ScriptedKernels:
    """The methods that the board package calls.

    Args:
        script: see above.
        lattice: bytes that decoder_lattice writes.
        failing_step: the step at which decoder_step returns an error, or None.
        light_below: a model with branches; the light one runs at an effort below so many per cent. None: a
            model without.
    """

    def __init__(self, script, lattice, failing_step=None, light_below=None):
        self.script = script
        self.lattice = lattice
        self.failing_step = failing_step
        self.light_below = light_below
        self.efforts = []
        self.contexts = []
        self.samples = self.steps = self.total_steps = 0
        self.utterances = []

    def frontend_size(self):
        return 4

    def frontend_init(self, state, prior):
        assert len(prior) == spec.FRONTEND_MEL_BANDS
        self.samples = self.total_steps = 0
        return 0

    def frontend_apply(self, state, samples, features):
        self.samples += len(bytes(samples)) // 2
        steps = max(0, (self.samples - _WINDOW) // spec.FRONTEND_STEP_SAMPLES + 1)
        new = steps - self.total_steps
        self.total_steps = steps
        return new

    def model_size(self, model, info):
        return 256

    def model_init(self, state, model, info):
        return 0

    def model_reset(self, state, model):
        return 0

    def model_subgraph(self, state, model, name):
        return -spec.ERROR_MODEL_SUBGRAPH if name == b"encoder_light" and self.light_below is None else 0

    def model_tensor(self, state, model, subgraph, output, k):
        return 16

    def encoder_step(self, state, model, effort):
        self.efforts.append(effort)
        return spec.BRANCH_LIGHT if effort < (self.light_below or 0) else spec.BRANCH_HEAVY

    def graph_check(self, graph, info):
        return 0

    def decoder_size(self, model_state, model, graph, config):
        return 64

    def decoder_init(self, state, model_state, model, graph, config):
        self.steps = 0
        return 0

    def decoder_restart(self, state, graph, config):
        self.steps = 0
        return 0

    def decoder_context(self, state, graph, table):
        self.contexts.append(bytes(table))
        return 0

    def decoder_step(self, state, model_state, model, graph):
        self.steps += 1
        return -spec.ERROR_BUFFER_SMALL if self.steps == self.failing_step else 0

    def _now(self):
        return self.script[min(self.steps, len(self.script)) - 1] if self.steps else (0, 0, 0, ())

    def decoder_status(self, state, graph, status):
        units, blanks, final, _ = self._now()
        status[spec.STATUS_INDEX_STEPS] = self.steps
        status[spec.STATUS_INDEX_UNITS_EMITTED] = units
        status[spec.STATUS_INDEX_TRAILING_BLANKS] = blanks
        status[spec.STATUS_INDEX_BEST_IS_FINAL] = final
        return 0

    def recognizer_step(self, frontend, samples, state, model, decoder, graph, status, words, endpoint, effort):
        if not self.frontend_apply(frontend, samples, None):
            return 0
        branch = self.encoder_step(state, model, effort)
        error = self.decoder_step(decoder, state, model, graph)
        if error < 0:
            status[spec.STATUS_INDEX_BRANCH] = spec.REFUSAL_SEARCH
            return error
        self.decoder_status(decoder, graph, status)
        status[spec.STATUS_INDEX_BRANCH] = branch
        status[spec.STATUS_INDEX_LIGHT_STEPS] += branch == spec.BRANCH_LIGHT
        before = list(words)
        words[self.decoder_partial(decoder, graph, words)] = spec.LIMITS_NONE16
        return spec.STEP_MADE + (spec.STEP_WORDS if before != list(words) else 0)

    def decoder_partial(self, state, graph, words):
        found = self._now()[3]
        for k, word in enumerate(found):
            words[k] = word
        return len(found)

    def decoder_lattice(self, state, graph, lattice, utterance, revision, budget):
        written = bytearray(self.lattice)
        if len(written) > len(lattice):
            return -spec.ERROR_BUFFER_SMALL
        self.utterances.append(utterance)
        if revision and written:
            flags = spec.LATTICE_FLAGS_COMPLETE | (
                0 if revision >= spec.REVISION_SPECULATIVE else spec.LATTICE_FLAGS_FINAL
            )
            struct.pack_into("<HH", written, spec.LATTICE_REVISION_OFFSET, revision & 0xFFFF, flags)
            struct.pack_into("<I", written, spec.LATTICE_CRC_OFFSET, 0)
            struct.pack_into("<I", written, spec.LATTICE_CRC_OFFSET, binascii.crc32(written) & 0xFFFFFFFF)
        lattice[: len(written)] = written
        return len(written)


def lattice_bytes(intent="orderDrink", complete=True):
    """A lattice of two words, "small" (slot size) and "latte" (slot drink), built with plain struct."""
    names = ["small", "size", "latte", "drink"] + ([intent] if intent else [])
    body = struct.pack("<3I", 0, 480, 990)
    body += struct.pack(spec.LATTICE_EDGE_STRUCT, 0, 1, 0, 1, 30, -100, -50)
    body += struct.pack(spec.LATTICE_EDGE_STRUCT, 1, 2, 1, 1, 510, -200, -60)
    body += struct.pack(spec.WORD_STRUCT, 0, 1, 1, 0) + struct.pack(spec.WORD_STRUCT, 2, 3, 1, 0)
    body += b"".join([name.encode() + b"\0" for name in names])
    flags = spec.LATTICE_FLAGS_FINAL | (spec.LATTICE_FLAGS_COMPLETE if complete else 0)
    counts = (3, 2, 2, len(names), 4 if intent else spec.LIMITS_NONE16, 0)
    size = spec.LATTICE_BYTES + len(body)
    fixed = (spec.MAGIC_LATTICE.encode(), spec.VERSION_LATTICE, spec.LATTICE_BYTES, 0, size, 0, 0, flags)
    data = bytearray(struct.pack(spec.LATTICE_STRUCT, *fixed, *counts) + body)
    struct.pack_into("<I", data, spec.LATTICE_CRC_OFFSET, binascii.crc32(data) & 0xFFFFFFFF)
    return bytes(data)
