"""From a microphone's words to samples: the twin of st_audio.c and api_audio.c."""

import stapes_spec as spec

from .buffers import byte_length, read, write
from .fixed import clamp

MAGIC = 0x31445541
GAIN_MOST = 14
FRACTION_BITS = 7
MASK32 = 0xFFFFFFFF

# The state: u32 magic; u8 shift, gain, pole, primed; u32 mask, flip; i32 offset; u32 last; i32 levels[7].
OFFSET_AT = 16
LEVELS_AT = 24
STATE_BYTES = LEVELS_AT + 4 * spec.AUDIO_LEVEL_INDEX_COUNT


def _signed(value):
    return value - (1 << 32) if value >> 31 else value


def audio_size():
    """Return the bytes of state."""
    return STATE_BYTES


def audio_init(state, config):
    """Start; see st_audio_init."""
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    if byte_length(config) < 4 * spec.AUDIO_CONFIG_INDEX_COUNT:
        return -spec.ERROR_ARGUMENT
    shift, bits, binary, gain, pole = read(config, "i", spec.AUDIO_CONFIG_INDEX_COUNT)
    good = 0 <= shift <= 31 and 8 <= bits <= 24 and binary in (0, 1) and 0 <= gain <= GAIN_MOST and 4 <= pole <= 12
    if not good:
        return -spec.ERROR_ARGUMENT
    write(state, "I", [MAGIC])
    write(state, "B", [shift, gain, pole, 0], 4)
    write(state, "I", [MASK32 & ~(MASK32 >> bits), binary << 31], 8)
    write(state, "i", [0] * (2 + spec.AUDIO_LEVEL_INDEX_COUNT), OFFSET_AT)
    return 0


def audio_started(state):
    """Return 0 for a state that audio_init has begun, else an error."""
    if byte_length(state) < STATE_BYTES:
        return -spec.ERROR_BUFFER_SMALL
    return 0 if read(state, "I", 1)[0] == MAGIC else -spec.ERROR_STATE


def audio_apply(state, words, samples):
    """Make samples of words; see st_audio_apply. Returns how many."""
    status = audio_started(state)
    if status < 0:
        return status
    if byte_length(words) % 4:
        return -spec.ERROR_ARGUMENT
    n = byte_length(words) // 4
    if byte_length(samples) // 2 < n:
        return -spec.ERROR_BUFFER_SMALL
    if n == 0:
        return 0
    shift, gain, pole, primed = read(state, "B", 4, 4)
    mask, flip = read(state, "I", 2, 8)
    offset, last = read(state, "i", 1, OFFSET_AT)[0], read(state, "I", 1, OFFSET_AT + 4)[0]
    sound = [(((word << shift) & MASK32) ^ flip) & mask for word in read(words, "I", n)]
    if not primed:
        last = ~sound[0] & MASK32
        offset = (_signed(sound[0]) >> 8) << FRACTION_BITS
    out, clipped = [], 0
    for word in sound:
        y = ((_signed(word) >> 8) << FRACTION_BITS) - offset
        offset += y >> pole
        y = ((y >> (GAIN_MOST - gain)) + 1) >> 1
        out.append(clamp(y, -32768, 32767))
        clipped += out[-1] != y
    write(samples, "h", out)
    _measure(state, sound, out, last, clipped)
    write(state, "B", [1], 7)
    write(state, "i", [offset], OFFSET_AT)
    write(state, "I", [sound[-1]], OFFSET_AT + 4)
    return n


def _measure(state, sound, out, last, clipped):
    levels = list(read(state, "i", spec.AUDIO_LEVEL_INDEX_COUNT, LEVELS_AT))
    room = spec.AUDIO_WINDOW_SAMPLES - levels[spec.AUDIO_LEVEL_INDEX_SAMPLES]
    levels[spec.AUDIO_LEVEL_INDEX_CLIPPED] += clipped
    for word, sample in zip(sound[:room], out[:room]):
        levels[spec.AUDIO_LEVEL_INDEX_SAMPLES] += 1
        levels[spec.AUDIO_LEVEL_INDEX_MAGNITUDE] += abs(sample)
        levels[spec.AUDIO_LEVEL_INDEX_PEAK] = max(levels[spec.AUDIO_LEVEL_INDEX_PEAK], abs(sample))
        levels[spec.AUDIO_LEVEL_INDEX_CHANGES] += word != last
        levels[spec.AUDIO_LEVEL_INDEX_ZEROS] += word == 0
        last = word
    # 65535 magnitudes of 32768 fill 31 bits.
    write(state, "i", levels, LEVELS_AT)


def audio_levels(state, levels):
    """Report the levels and begin anew; see st_audio_levels."""
    status = audio_started(state)
    if status < 0:
        return status
    if byte_length(levels) < 4 * spec.AUDIO_LEVEL_INDEX_COUNT:
        return -spec.ERROR_BUFFER_SMALL
    found = list(read(state, "i", spec.AUDIO_LEVEL_INDEX_COUNT, LEVELS_AT))
    found[spec.AUDIO_LEVEL_INDEX_OFFSET] = read(state, "i", 1, OFFSET_AT)[0] >> FRACTION_BITS
    write(levels, "i", found)
    write(state, "i", [0] * len(found), LEVELS_AT)
    return 0
