"""A PDM microphone's bits to words: the twin of st_pdm.c."""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .fixed import clamp
from .tables import PDM

MAGIC = 0x314D4450
MASK32 = 0xFFFFFFFF
HALF = 1 << 15
ORDER = spec.PDM_ORDER
TAPS = spec.PDM_TAPS
WORDS = spec.PDM_SAMPLE_WORDS

# The state: u32 magic, integrators[4], combs[4]; i16 values[64].
VALUES_AT = 4 + 8 * ORDER
STATE_BYTES = VALUES_AT + 2 * TAPS


def pdm_size():
    """Return the bytes of state."""
    return STATE_BYTES


def pdm_init(state):
    """Start; see st_pdm_init."""
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    write(state, "I", [MAGIC] + [0] * (2 * ORDER))
    write(state, "h", [0] * TAPS, VALUES_AT)
    return 0


def _cic(integrators, combs, bits):
    """Return the CIC filter's value for 16 bits, the earliest on top."""
    for i in range(spec.PDM_RATE - 1, -1, -1):
        carry = (bits >> i) & 1
        for k in range(ORDER):
            carry = integrators[k] = (integrators[k] + carry) & MASK32
    value = integrators[-1]
    for k in range(ORDER):
        combs[k], value = value, (value - combs[k]) & MASK32
    return min(value - HALF, 32767)


def _fir(values):
    return sum([PDM[i] * (values[i] + values[TAPS - 1 - i]) for i in range(TAPS // 2)])


def pdm_apply(state, words, samples):
    """Make samples of words, two each; see st_pdm_apply. Returns how many."""
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    if read(state, "I", 1)[0] != MAGIC:
        return -spec.ERROR_STATE
    if byte_length(words) % (4 * WORDS):
        return -spec.ERROR_ARGUMENT
    n = byte_length(words) // (4 * WORDS)
    if byte_length(samples) // 4 < n:
        return -spec.ERROR_BUFFER_SMALL
    bits = read(words, "I", WORDS * n)
    filters = list(read(state, "I", 2 * ORDER, 4))
    integrators, combs = filters[:ORDER], filters[ORDER:]
    values = list(read(state, "h", TAPS, VALUES_AT))
    out = []
    for i in range(n):
        for word in bits[WORDS * i : WORDS * (i + 1)]:
            for half in (word >> 16, word & 0xFFFF):
                values.append(_cic(integrators, combs, half))
        values = values[spec.PDM_DECIMATION :]
        out.append(clamp(_fir(values), -(1 << 30), (1 << 30) - 1) * 2)
    write(samples, "i", out)
    write(state, "I", integrators + combs, 4)
    write(state, "h", values, VALUES_AT)
    return n
