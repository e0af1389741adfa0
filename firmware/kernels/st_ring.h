/* A ring of words that DMA fills for ever: what has come, and what of it is lost when nobody reads in time.
 *
 * Where DMA writes tells how many words have come, but for whole turns of the ring: those the clock tells, which
 * runs from the same crystal. The ring is int32 [8], see [ring_index] of the spec. */
#ifndef ST_RING_H
#define ST_RING_H

#include "st_audio.h"

/* Whether the values of a ring are such as the functions below take. */
int st_ring_is_sound(const int32_t *ring);

/* See what has come.
 * written: address of the word that DMA writes next. now_us: by a clock of 30 bits, looked at once in 4 minutes.
 * Of a ring that is full, but for ST_RING_GUARD words, whole steps are lost, so that half of the ring is kept. */
void st_ring_look(int32_t *ring, uint32_t written, uint32_t now_us);

/* Return the milliseconds until count samples are there, 0 when they are. count: 1 to 480. */
int32_t st_ring_missing_ms(const int32_t *ring, uint32_t count);

/* Take n words of the ring, which are there, as a microphone's: int16 [n]. A sample is one word. */
void st_ring_take(int32_t *ring, const uint32_t *words, st_audio_t *audio, int16_t *samples, uint32_t n);

#endif
