/* Copies out of slow memory while the core computes, for images that can: the RP2040's flash is read word by word, 40
 * cycles each, unless in one go, 16 cycles each. An image that defines ST_FETCH has the functions below.
 *
 * From st_fetch_start to st_fetch_wait nothing but RAM may be touched, code included, and interrupts are off: who calls
 * them, and what is called in between, is ST_HOT. */
#ifndef ST_FETCH_H
#define ST_FETCH_H

#include "st_common.h"

#define ST_FETCH_COUNTS (528) /* bytes: the header of packed weights and 512 of their counts */
#define ST_FETCH_CHUNK (2048)

/* Where copies go: the image's own memory. What is in it lasts until the next operator. */
typedef struct {
    uint32_t pool[(ST_FETCH_COUNTS + 2 * ST_FETCH_CHUNK) / 4]; /* counts, then two chunks */
    const void *held; /* where what the pool begins with was copied from, until the next copy begins; NULL: of no use */
    uint32_t held_bytes;
} st_fetch_t;

/* Chunk 0 or 1. */
static inline uint32_t *st_fetch_chunk(st_fetch_t *fetch, uint32_t k) {
    return fetch->pool + (ST_FETCH_COUNTS + k * ST_FETCH_CHUNK) / 4;
}

static inline int st_fetch_fits(const void *from, uint32_t bytes, uint32_t capacity) {
    return ((uint32_t)(uintptr_t)from & 3u) == 0 && bytes <= capacity;
}

#ifdef ST_FETCH

/* NULL: from where the data lies nothing can be copied now, read it there. */
st_fetch_t *st_fetch_open(const void *from);

/* Begin to copy bytes, rounded up to words, at least one; from is aligned to 4. Nothing is held any more. */
void st_fetch_start(uint32_t *to, const void *from, uint32_t bytes);

/* Until it is done. */
void st_fetch_wait(void);

#endif

#endif
