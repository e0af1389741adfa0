#include "st_ring.h"

#define TICKS_MASK (0x3FFFFFFFu)
#define TICKS_HALF (0x20000000u)
#define WORDS_TO_A_SECOND (ST_AUDIO_SAMPLE_RATE_HZ)

int st_ring_is_sound(const int32_t *ring) {
    int32_t size = ring[ST_RING_INDEX_SIZE], words = ring[ST_RING_INDEX_WORDS];
    int32_t at = ring[ST_RING_INDEX_AT], seen = ring[ST_RING_INDEX_SEEN], fill = ring[ST_RING_INDEX_FILL];
    return (words == 1 || words == 2) && size >= 2 * words * ST_FRONTEND_STEP_SAMPLES && size <= ST_RING_MOST_WORDS
        && size % (words * ST_FRONTEND_STEP_SAMPLES) == 0 && at >= 0 && at < size && seen >= 0 && seen < size
        && fill >= 0 && fill <= size;
}

/* Words that the clock gives since DMA was last seen. */
static uint32_t by_the_clock(const int32_t *ring, uint32_t now_us) {
    uint32_t elapsed_us = (now_us - (uint32_t)ring[ST_RING_INDEX_SEEN_US]) & TICKS_MASK;
    if (elapsed_us >= TICKS_HALF) {
        return 0; /* it has been set back */
    }
    /* In units of 64 us, so that no product leaves 32 bits: 16000 * 64 / 10^6 = 128 / 125. */
    return (elapsed_us >> 6) * (uint32_t)ring[ST_RING_INDEX_WORDS] * 128u / 125u;
}

/* Keep whole steps, half of the ring, and count the rest of fill words as lost. Returns what is left. */
static uint32_t drop(int32_t *ring, uint32_t fill) {
    uint32_t size = (uint32_t)ring[ST_RING_INDEX_SIZE], words = (uint32_t)ring[ST_RING_INDEX_WORDS];
    uint32_t step = words * ST_FRONTEND_STEP_SAMPLES;
    uint32_t lost = (fill - size / step / 2 * step) / step * step;
    ring[ST_RING_INDEX_AT] = (int32_t)(((uint32_t)ring[ST_RING_INDEX_AT] + lost) % size);
    ring[ST_RING_INDEX_LOST] = (int32_t)(((uint32_t)ring[ST_RING_INDEX_LOST] + lost / words) & TICKS_MASK);
    return fill - lost;
}

ST_HOT void st_ring_look(int32_t *ring, uint32_t written, uint32_t now_us) {
    uint32_t size = (uint32_t)ring[ST_RING_INDEX_SIZE], seen = (uint32_t)ring[ST_RING_INDEX_SEEN];
    uint32_t at = ((written - (uint32_t)ring[ST_RING_INDEX_BASE]) >> 2) % size;
    uint32_t come = at >= seen ? at - seen : at + size - seen;
    uint32_t clock = by_the_clock(ring, now_us) + size / 2;
    uint32_t turns = clock > come ? (clock - come) / size : 0;
    uint32_t fill = (uint32_t)ring[ST_RING_INDEX_FILL] + come + turns * size;
    ring[ST_RING_INDEX_SEEN] = (int32_t)at;
    ring[ST_RING_INDEX_SEEN_US] = (int32_t)now_us;
    ring[ST_RING_INDEX_FILL] = (int32_t)(fill > size - ST_RING_GUARD ? drop(ring, fill) : fill);
}

int32_t st_ring_missing_ms(const int32_t *ring, uint32_t count) {
    uint32_t words = (uint32_t)ring[ST_RING_INDEX_WORDS], needed = count * words;
    uint32_t fill = (uint32_t)ring[ST_RING_INDEX_FILL];
    return needed <= fill ? 0 : (int32_t)(1 + (needed - fill) * 1000u / (WORDS_TO_A_SECOND * words));
}

ST_HOT void st_ring_take(int32_t *ring, const uint32_t *words, st_audio_t *audio, int16_t *samples, uint32_t n) {
    uint32_t size = (uint32_t)ring[ST_RING_INDEX_SIZE], at = (uint32_t)ring[ST_RING_INDEX_AT];
    uint32_t first = ST_MIN(n, size - at);
    st_audio_apply(audio, words + at, first, samples);
    st_audio_apply(audio, words, n - first, samples + first);
    ring[ST_RING_INDEX_AT] = (int32_t)(first < size - at ? at + first : n - first);
    ring[ST_RING_INDEX_FILL] -= (int32_t)n;
}
