/* See st_audio.h. A sample x has 24 bits; with 7 more behind them it is Q.30, and the difference of
 * two such values still fits in 32 bits. */
#include "st_audio.h"
#include "st_fixed.h"

#define GAIN_MOST (14)
#define FRACTION_BITS (7)

/* Offset, last word: they outlive a window. */
static void clear_levels(int32_t *levels) {
    memset(levels, 0, ST_AUDIO_LEVEL_INDEX_COUNT * sizeof(int32_t));
}

st_status_t st_audio_init(st_audio_t *state, const int32_t *config) {
    int32_t shift = config[ST_AUDIO_CONFIG_INDEX_SHIFT], bits = config[ST_AUDIO_CONFIG_INDEX_BITS];
    int32_t binary = config[ST_AUDIO_CONFIG_INDEX_OFFSET_BINARY];
    int32_t gain = config[ST_AUDIO_CONFIG_INDEX_GAIN], pole = config[ST_AUDIO_CONFIG_INDEX_POLE];
    if (shift < 0 || shift > 31 || bits < 8 || bits > 24 || (binary != 0 && binary != 1) || gain < 0
        || gain > GAIN_MOST || pole < 4 || pole > 12) {
        return -ST_ERROR_ARGUMENT;
    }
    memset(state, 0, sizeof(*state));
    state->magic = ST_AUDIO_MAGIC;
    state->shift = (uint8_t)shift;
    state->gain = (uint8_t)gain;
    state->pole = (uint8_t)pole;
    state->mask = ~(0xFFFFFFFFu >> bits);
    state->flip = binary ? 0x80000000u : 0;
    return 0;
}

/* Add to the levels what these words and samples are, as far as the window has room. */
static void measure(st_audio_t *state, const uint32_t *words, uint32_t n, const int16_t *samples) {
    int32_t *levels = state->levels;
    uint32_t room = (uint32_t)(ST_AUDIO_WINDOW_SAMPLES - levels[ST_AUDIO_LEVEL_INDEX_SAMPLES]);
    uint32_t last = state->last, magnitude = 0;
    int32_t peak = levels[ST_AUDIO_LEVEL_INDEX_PEAK], changes = 0, zeros = 0;
    n = ST_MIN(n, room);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t x = ((words[i] << state->shift) ^ state->flip) & state->mask;
        int32_t size = samples[i] < 0 ? -samples[i] : samples[i];
        changes += x != last;
        zeros += x == 0;
        last = x;
        magnitude += (uint32_t)size;
        peak = size > peak ? size : peak;
    }
    levels[ST_AUDIO_LEVEL_INDEX_SAMPLES] += (int32_t)n;
    levels[ST_AUDIO_LEVEL_INDEX_MAGNITUDE] += (int32_t)magnitude;
    levels[ST_AUDIO_LEVEL_INDEX_PEAK] = peak;
    levels[ST_AUDIO_LEVEL_INDEX_CHANGES] += changes;
    levels[ST_AUDIO_LEVEL_INDEX_ZEROS] += zeros;
}

ST_HOT void st_audio_apply(st_audio_t *state, const uint32_t *words, uint32_t n, int16_t *samples) {
    uint32_t shift = state->shift, mask = state->mask, flip = state->flip;
    int down = GAIN_MOST - state->gain, pole = state->pole;
    int32_t offset = state->offset, clipped = 0;
    if (n == 0) {
        return;
    }
    if (!state->primed) {
        state->primed = 1;
        state->last = ~(((words[0] << shift) ^ flip) & mask); /* the first word is a change */
        offset = (int32_t)(((words[0] << shift) ^ flip) & mask) >> 8;
        offset = (int32_t)((uint32_t)offset << FRACTION_BITS);
    }
    for (uint32_t i = 0; i < n; i++) {
        int32_t x = (int32_t)(((words[i] << shift) ^ flip) & mask) >> 8;
        int32_t y = (int32_t)((uint32_t)x << FRACTION_BITS) - offset;
        offset += y >> pole;
        y = ((y >> down) + 1) >> 1; /* rounds half up */
        int32_t sample = st_saturate_i16(y);
        clipped += sample != y;
        samples[i] = (int16_t)sample;
    }
    measure(state, words, n, samples);
    state->last = ((words[n - 1] << shift) ^ flip) & mask;
    state->levels[ST_AUDIO_LEVEL_INDEX_CLIPPED] += clipped;
    state->offset = offset;
}

void st_audio_levels(st_audio_t *state, int32_t *levels) {
    memcpy(levels, state->levels, sizeof(state->levels));
    levels[ST_AUDIO_LEVEL_INDEX_OFFSET] = state->offset >> FRACTION_BITS;
    clear_levels(state->levels);
}
