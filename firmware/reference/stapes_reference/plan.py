"""The planner: the twin of st_plan.c. It writes the same bytes into the state.

It runs without a state (it only counts) from model_size and with one from model_init.
"""

import struct

import stapes_spec as spec

from . import scale
from .tensor import INT4, RefusedError, Tensor

MAX_BLOCKS = 32
MAX_OPERATORS = 512
MAX_SLOTS = 64
MAX_OPERANDS = 64
MAX_LAYERS = 9
MAX_FILE = 1 << 28
ALWAYS_LIVE = 0x7FFFFFFF
REF_ARENA = 1 << 30
REF_FILE = 2 << 30
REF_REGION = 3 << 30
SLOT_BYTES = 24
SUBGRAPH_BYTES = 32

_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS, _NAME = 0, 1, 2, 3, 4
_OPCODE_INDEX, _OP_INPUTS, _OP_OUTPUTS, _OPTIONS_TYPE, _OPTIONS = 0, 1, 2, 3, 4
_DEPRECATED, _CUSTOM, _BUILTIN = 0, 1, 3


def align8(value):
    """Return value rounded up to a multiple of 8."""
    return (value + 7) & ~7


def open_subgraph(fb, table):
    """Return a subgraph's vectors: name, tensors, inputs, outputs, operators; what is wrong with them is left in fb."""
    name = fb.get_vector(table, _NAME, 1)  # in the kernels' order: the first damage is what is told
    return [name] + [fb.get_vector(table, field, 4) for field in (_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS)]


class Block:
    """A live activation, or scratch memory (tensor -1), in the arena."""

    def __init__(self, tensor, offset, size, last_use):
        self.tensor = tensor
        self.offset = offset
        self.size = size
        self.last_use = last_use


class Plan:
    """Walks the subgraphs, checks them, and lays out the state."""

    def __init__(self, fb, state, info, prepare):
        """prepare: function(plan) that plans one operator; info: list of int32."""
        self.fb = fb
        self.state = state
        self.info = info
        self.prepare = prepare
        self.used = 0
        self.arena_bytes = 0
        self.index = -1
        self.branches = ()  # indices of the two encoders that share their inputs and output: branch.py
        self.is_branch = False  # the current subgraph is one of them
        self.is_second = False  # and the other one has been planned
        self.shared = 0  # where the one planned first has them, 0: neither is planned
        self._layers = []  # (scales, multipliers) of its layers

    def refuse(self, code, detail):
        """Raise RefusedError, remembering the operator."""
        self.info[spec.INFO_INDEX_OPERATOR] = self.index
        raise RefusedError(code, detail)

    def refuse_damage(self):
        """Raise RefusedError for the first bad read."""
        self.refuse(spec.ERROR_MODEL_TRUNCATED, self.fb.damaged_at)

    def refuse_type(self, tensor):
        """Raise RefusedError for a tensor's type or shape."""
        self.refuse(spec.ERROR_MODEL_TYPE, tensor.index)

    def refuse_option(self):
        """Raise RefusedError for an operator or an option of it that the board lacks."""
        self.refuse(spec.ERROR_MODEL_OP, self.code)

    def reserve(self, size):
        """Return the state offset of memory that is never freed."""
        at = align8(self.used)
        if size > MAX_FILE or at > MAX_FILE:
            self.refuse(spec.ERROR_MODEL_MEMORY, size)
        if self.state is not None and at + size > len(self.state):
            self.refuse(spec.ERROR_BUFFER_SMALL, at + size)
        self.used = at + size
        return at

    def write(self, offset, code, *values):
        """Store values by a struct code; does nothing while sizing."""
        if self.state is not None:
            struct.pack_into("<%d%s" % (len(values), code), self.state, offset, *values)

    def write_words(self, offset, words):
        """Store 32-bit words of either sign."""
        self.write(offset, "I", *[word & 0xFFFFFFFF for word in words])

    # --- who reads and writes a tensor

    def _operands(self, index, field):
        return self.fb.ints(self.fb.get_vector(self.fb.table_at(self.operators, index), field, 4))

    def _last_read(self, tensor):
        for index in range(self.operators[1] - 1, -1, -1):
            if tensor in self._operands(index, _OP_INPUTS):
                return index
        return -1

    def _is_written_before(self, tensor, index):
        return any(tensor in self._operands(i, _OP_OUTPUTS) for i in range(index))

    def is_read_by_others(self, tensor):
        """Return whether another operator than the current one reads a tensor."""
        others = [i for i in range(self.operators[1]) if i != self.index]
        return any(tensor in self._operands(i, _OP_INPUTS) for i in others)

    # --- where a tensor is

    def _recurrent_input(self, k):
        return len(self.inputs) - len(self.outputs) + k

    def _tensor(self, index):
        return Tensor(self.fb, self.tensors, self.buffers, index)

    def _slot_memory(self, k):
        return self.memory + sum(align8(self._tensor(index).bytes) for index in self.inputs[:k])

    def _find_block(self, tensor):
        for block in self.blocks:
            if block.tensor == tensor:
                return block
        return None

    def _place_block(self, tensor, size, last_use):
        size = align8(size)
        offset = i = 0
        while i < len(self.blocks):
            block = self.blocks[i]
            if offset < block.offset + block.size and block.offset < offset + size:
                offset = block.offset + block.size
                i = 0
            else:
                i += 1
        if len(self.blocks) == MAX_BLOCKS or offset + size > MAX_FILE:
            self.refuse(spec.ERROR_MODEL_MEMORY, tensor)
        self.blocks.append(Block(tensor, offset, size, last_use))
        self.arena_bytes = max(self.arena_bytes, offset + size)
        return REF_ARENA | offset

    def scratch(self, size):
        """Return a reference to memory for the duration of this operator."""
        return self._place_block(-1, size, self.index)

    def _load_any(self, index):
        """Return a tensor of any type; raises RefusedError."""
        try:
            tensor = self._tensor(index)
        except RefusedError as refused:
            if not self.fb.damaged:
                self.refuse(refused.code, index)
            tensor = None
        if self.fb.damaged:
            self.refuse_damage()
        return tensor

    def load(self, index):
        """Return a tensor that may be an activation: elements of half a byte are weights."""
        tensor = self._load_any(index)
        if tensor.type == INT4:
            self.refuse_type(tensor)
        return tensor

    def _operand_index(self, k):
        if k >= self.op_inputs[1]:
            self.refuse(spec.ERROR_MODEL_TYPE, self.code)
        return self.fb.i32_at(self.op_inputs, k)

    def operand(self, k):
        """Return operand k and a reference to where it is."""
        tensor = self.load(self._operand_index(k))
        if tensor.data:
            return tensor, REF_FILE | tensor.data
        block = self._find_block(tensor.index)
        if block:
            return tensor, REF_ARENA | block.offset
        if tensor.index in self.inputs:
            return tensor, self._slot_memory(self.inputs.index(tensor.index))
        if tensor.index in self.outputs and self._is_written_before(tensor.index, self.index):
            output = self.outputs.index(tensor.index)
            return tensor, self._slot_memory(self._recurrent_input(output) if output else len(self.inputs))
        return self.refuse_type(tensor)

    def constant(self, k, optional=False):
        """Return operand k, which must be a constant; None when it is absent and optional."""
        if optional and (k >= self.op_inputs[1] or self.fb.i32_at(self.op_inputs, k) == -1):
            return None
        tensor = self._load_any(self._operand_index(k))
        return tensor if tensor.data else self.refuse_type(tensor)

    def shape(self, k):
        """Return operand k, which has no data and is not an activation: its type, shape and scales count."""
        tensor = self._load_any(self._operand_index(k))
        return self.refuse_type(tensor) if tensor.data else tensor

    def variable(self, k, kind, elements):
        """Return operand k, a variable tensor that this operator alone uses, and its place in the state."""
        tensor = self.load(self.fb.i32_at(self.op_inputs, k))
        if tensor.type != kind or not tensor.variable or tensor.data or tensor.elements != elements:
            self.refuse_type(tensor)
        if tensor.scales[1] != 1 or not scale.is_valid(tensor.scale) or self.is_read_by_others(tensor.index):
            self.refuse_type(tensor)
        if self.is_branch:
            self.refuse(spec.ERROR_MODEL_BRANCHES, tensor.index)
        return tensor, self.reserve(tensor.bytes)

    def shared_multipliers(self, scales):
        """Return those of the first encoder's layer with these scales, for one of the second; None without one."""
        found = [place for one, place in self._layers if one == scales] if self.is_second else []
        return found[0] if found else None

    def keep_multipliers(self, scales, multipliers):
        """Keep a depthwise layer's multipliers for the second encoder."""
        if self.is_branch and not self.is_second and len(self._layers) < MAX_LAYERS:
            self._layers.append((scales, multipliers))

    def _is_in_place(self, k):
        return self._last_read(self.inputs[self._recurrent_input(k)]) < self.index

    def result(self):
        """Return result 0 and a reference to where it goes. Call it after the operands."""
        if self.op_outputs[1] != 1:
            self.refuse(spec.ERROR_MODEL_TYPE, self.code)
        tensor = self.load(self.fb.i32_at(self.op_outputs, 0))
        index = tensor.index
        # Written once: else an operator could read the memory that it writes.
        if tensor.data or tensor.variable or self._is_written_before(index, self.index) or index in self.inputs:
            self.refuse_type(tensor)
        output = self.outputs.index(index) if index in self.outputs else -1
        if output == 0:
            return tensor, self._slot_memory(len(self.inputs))
        if output > 0 and self._is_in_place(output):
            return tensor, self._slot_memory(self._recurrent_input(output))
        last_use = ALWAYS_LIVE if output > 0 else max(self._last_read(index), self.index)
        return tensor, self._place_block(index, tensor.bytes, last_use)

    # --- the subgraph

    def _plan_operator(self):
        fb = self.fb
        table = fb.table_at(self.operators, self.index)
        opcode = fb.table_at(self.opcodes, fb.get_i32(table, _OPCODE_INDEX) & 0xFFFFFFFF)
        self.code = max(fb.get_i8(opcode, _DEPRECATED), fb.get_i32(opcode, _BUILTIN))
        self.packed = False
        at, count = fb.get_vector(opcode, _CUSTOM, 1)
        self.custom_code = bytes(fb.data[at : at + count])
        self.options_type = fb.get_i8(table, _OPTIONS_TYPE) & 0xFF
        self.options = fb.get_table(table, _OPTIONS)
        self.op_inputs = fb.get_vector(table, _OP_INPUTS, 4)
        self.op_outputs = fb.get_vector(table, _OP_OUTPUTS, 4)
        if fb.damaged:
            self.refuse_damage()
        try:
            self.prepare(self)
        except RefusedError:
            if fb.damaged:
                self.refuse_damage()
            raise
        if fb.damaged:
            self.refuse_damage()
        self.blocks = [block for block in self.blocks if block.last_use > self.index]

    def _check_operators(self):
        if self.operators[1] > MAX_OPERATORS:
            self.refuse(spec.ERROR_MODEL_MEMORY, self.operators[1])
        for index in range(self.operators[1]):
            self.index = index
            table = self.fb.table_at(self.operators, index)
            inputs = self.fb.get_vector(table, _OP_INPUTS, 4)[1]
            outputs = self.fb.get_vector(table, _OP_OUTPUTS, 4)[1]
            if self.fb.damaged:
                self.refuse_damage()
            if inputs > MAX_OPERANDS or outputs > MAX_OPERANDS:
                self.refuse(spec.ERROR_MODEL_TYPE, max(inputs, outputs))
        self.index = -1

    def _check_slots(self, inputs, outputs):
        if inputs > MAX_SLOTS or outputs > MAX_SLOTS or outputs == 0 or outputs > inputs + 1:
            self.refuse(spec.ERROR_MODEL_TYPE, outputs)
        for i in range(inputs):
            if self.inputs.index(self.inputs[i]) != i:
                self.refuse(spec.ERROR_MODEL_TYPE, self.inputs[i])
        for i in range(outputs):
            tensor = self.outputs[i]
            written = self._is_written_before(tensor, self.operators[1])
            if self.outputs.index(tensor) != i or tensor in self.inputs or not written:
                self.refuse(spec.ERROR_MODEL_TYPE, tensor)

    def _write_slot(self, number, tensor, offset, source):
        words = (offset, tensor.bytes, tensor.scale, tensor.zero_point, source, tensor.type)
        self.write_words(self.slots + number * SLOT_BYTES, words)

    def _reserve_slots(self):
        self.slots = self.reserve((len(self.inputs) + len(self.outputs)) * SLOT_BYTES)
        self.is_second = self.is_branch and self.shared != 0
        self.memory = self.shared if self.is_second else align8(self.used)
        for number, index in enumerate(self.inputs + self.outputs[:1]):
            tensor = self.load(index)
            if tensor.data or tensor.variable:
                self.refuse_type(tensor)
            offset = self._slot_memory(number) if self.is_second else self.reserve(tensor.bytes)
            self._write_slot(number, tensor, offset, offset)
        if self.is_branch:
            self.shared = self.memory

    def _finish_slots(self):
        for k in range(1, len(self.outputs)):
            number = self._recurrent_input(k)
            output = self.load(self.outputs[k])
            twin = self.load(self.inputs[number])
            offset = self._slot_memory(number)
            if output.type != twin.type or not output.same_shape(twin) or not output.same_scale(twin):
                self.refuse_type(output)
            block = self._find_block(output.index)
            source = REF_ARENA | block.offset if block else offset
            self._write_slot(len(self.inputs) + k, output, offset, source)

    def subgraph(self, table):
        """Plan one subgraph, is_branch set; return the words of its record."""
        fb = self.fb
        name, self.tensors, inputs, outputs, self.operators = open_subgraph(fb, table)
        self.blocks = []
        self.index = -1
        if fb.damaged:
            self.refuse_damage()
        self._check_operators()
        self.inputs = fb.ints(inputs) if inputs[1] <= MAX_SLOTS else []
        self.outputs = fb.ints(outputs) if outputs[1] <= MAX_SLOTS else []
        self._check_slots(inputs[1], outputs[1])
        self._reserve_slots()
        first_record = align8(self.used)
        for index in range(self.operators[1]):
            self.index = index
            self._plan_operator()
        self.index = -1
        self._finish_slots()
        return (name[0], name[1], inputs[1], outputs[1], self.slots, first_record, self.operators[1], 0)
