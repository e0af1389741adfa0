/* See st_audio.h. A sample has 24 bits; a word, halved, has 7 more behind them and is Q.30: the difference of two such
 * values still fits in 32 bits. */
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

void st_audio_run_naive(st_audio_run_t *run, const uint32_t *words, const uint32_t *end, int16_t *samples) {
    uint32_t shift = run->turn & 31u, flip = run->turn & 0x80000000u;
    for (; words != end; words++, samples++) {
        uint32_t x = ((*words << shift) ^ flip) & run->mask;
        int32_t y = ((int32_t)x >> 1) - run->offset; /* the lowest 8 bits are 0 */
        run->offset += y >> run->pole;
        y = ((y >> run->down) + 1) >> 1; /* rounds half up */
        int32_t sample = st_saturate_i16(y), size = sample < 0 ? -sample : sample;
        *samples = (int16_t)sample;
        run->clipped += sample != y;
        run->zeros += x == 0;
        run->equals += x == run->last;
        run->last = x;
        run->magnitude += (uint32_t)size;
        run->peak = size > run->peak ? size : run->peak;
    }
}

#if !defined(__ARM_ARCH_6M__) /* there: st_audio_m0.c */

void st_audio_run(st_audio_run_t *run, const uint32_t *words, const uint32_t *end, int16_t *samples) {
    st_audio_run_naive(run, words, end, samples);
}

#endif

/* Ready for the next word, nothing counted. */
static st_audio_run_t begin(const st_audio_t *state) {
    st_audio_run_t run = {state->shift | state->flip, state->mask, 0, state->last, 0, state->offset, state->pole,
                          GAIN_MOST - state->gain, 0, 0, 0};
    return run;
}

/* Add n samples to the levels. */
static void measure(int32_t *levels, const st_audio_run_t *run, uint32_t n) {
    levels[ST_AUDIO_LEVEL_INDEX_SAMPLES] += (int32_t)n;
    levels[ST_AUDIO_LEVEL_INDEX_MAGNITUDE] += (int32_t)run->magnitude;
    levels[ST_AUDIO_LEVEL_INDEX_PEAK] = ST_MAX(levels[ST_AUDIO_LEVEL_INDEX_PEAK], run->peak);
    levels[ST_AUDIO_LEVEL_INDEX_CHANGES] += (int32_t)n - run->equals;
    levels[ST_AUDIO_LEVEL_INDEX_ZEROS] += run->zeros;
}

ST_HOT void st_audio_apply(st_audio_t *state, const uint32_t *words, uint32_t n, int16_t *samples) {
    st_audio_run_t run = begin(state);
    uint32_t measured = ST_MIN(n, (uint32_t)(ST_AUDIO_WINDOW_SAMPLES - state->levels[ST_AUDIO_LEVEL_INDEX_SAMPLES]));
    uint32_t pairs = measured & ~1u;
    if (n == 0) {
        return;
    }
    if (!state->primed) {
        uint32_t first = ((words[0] << state->shift) ^ state->flip) & state->mask;
        state->primed = 1;
        run.last = ~first; /* the first word is a change */
        run.offset = (int32_t)first >> 1;
    }
    if (pairs) {
        st_audio_run(&run, words, words + pairs, samples);
    }
    st_audio_run_naive(&run, words + pairs, words + measured, samples + pairs);
    measure(state->levels, &run, measured);
    st_audio_run_naive(&run, words + measured, words + n, samples + measured); /* the window is full */
    state->levels[ST_AUDIO_LEVEL_INDEX_CLIPPED] += run.clipped;
    state->last = run.last;
    state->offset = run.offset;
}

void st_audio_levels(st_audio_t *state, int32_t *levels) {
    memcpy(levels, state->levels, sizeof(state->levels));
    levels[ST_AUDIO_LEVEL_INDEX_OFFSET] = state->offset >> FRACTION_BITS;
    clear_levels(state->levels);
}
