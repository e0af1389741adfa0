/* Products of packed weights that are copied to RAM, one chunk of blocks while the chunk before is worked on. */
#include "st_zero_skip.h"

#ifdef ST_FETCH

/* Bytes: nothing can be done while the first chunk comes. Copying takes five sixths of the time that the work takes, so
 * the next ones may be larger by a fifth and a bit each. */
#define FIRST_CHUNK (512)
#define LARGER(limit) ST_MIN((limit) + (limit) / 4, ST_FETCH_CHUNK)

/* A matrix on its way. */
typedef struct {
    const uint8_t *groups;  /* of what comes next */
    const uint16_t *counts; /* of it */
    uint32_t segments;
    uint32_t group_bytes;
    uint32_t blocks; /* left */
} source_t;

/* Blocks that are worked on at once. */
typedef struct {
    const uint8_t *counts;
    uint32_t blocks;
    uint32_t bytes; /* of their groups */
} chunk_t;

static inline uint32_t block_bytes(const source_t *source) {
    uint32_t groups = 0;
    for (uint32_t segment = 0; segment < source->segments; segment++) {
        groups += (source->counts[segment] + ST_ZERO_SKIP_ENTRIES - 1u) / ST_ZERO_SKIP_ENTRIES;
    }
    return groups * source->group_bytes;
}

/* Take the next blocks, at least one, if there is one, and begin to copy their groups. */
ST_HOT static chunk_t begin_chunk(source_t *source, uint32_t *to, uint32_t limit) {
    chunk_t chunk;
    chunk.counts = (const uint8_t *)source->counts;
    chunk.blocks = 0;
    chunk.bytes = 0;
    while (source->blocks > 0) {
        uint32_t more = block_bytes(source);
        if (chunk.blocks > 0 && chunk.bytes + more > limit) {
            break;
        }
        chunk.bytes += more;
        chunk.blocks++;
        source->counts += source->segments;
        source->blocks--;
    }
    if (chunk.bytes > 0) {
        st_fetch_start(to, source->groups, chunk.bytes);
        source->groups += chunk.bytes;
    }
    return chunk;
}

ST_HOT static const uint8_t *run(st_fetch_t *fetch, source_t *source, const uint8_t *x, uint32_t *sums,
                                 const uint8_t *bias, uint32_t bias_bytes) {
    uint32_t k = 0;
    uint32_t limit = FIRST_CHUNK;
    chunk_t now = begin_chunk(source, fetch->chunk[0], limit);
    if (now.bytes > 0) {
        st_fetch_wait();
    }
    for (;;) {
        limit = LARGER(limit);
        chunk_t next = begin_chunk(source, fetch->chunk[k ^ 1u], limit);
        uint32_t coming = next.bytes;
        if (next.blocks == 0 && bias_bytes > 0) {
            coming = bias_bytes;
            st_fetch_start(fetch->chunk[k ^ 1u], bias, bias_bytes);
            bias = (const uint8_t *)fetch->chunk[k ^ 1u];
        }
        st_zero_skip_t part;
        part.groups = (const uint8_t *)fetch->chunk[k];
        part.counts = now.counts;
        part.segments = source->segments;
        part.blocks = now.blocks;
        if (source->group_bytes == 12) {
            st_zero_skip_sums4(&part, x, sums);
        } else {
            st_zero_skip_sums8(&part, x, sums);
        }
        if (coming > 0) {
            st_fetch_wait();
        }
        if (next.blocks == 0) {
            return bias;
        }
        sums += ST_ZERO_SKIP_ROWS * now.blocks;
        now = next;
        k ^= 1u;
    }
}

ST_HOT static void fetch_counts(st_fetch_t *fetch, const uint8_t *counts, uint32_t bytes) {
    st_fetch_start(fetch->counts, counts, bytes);
    st_fetch_wait();
}

ST_HOT int st_zero_skip_fetched(const st_zero_skip_t *packed, uint32_t bits, const uint8_t *x, uint32_t *sums,
                         const uint8_t **bias, uint32_t bias_bytes) {
    uint32_t group_bytes = st_zero_skip_group_bytes(bits);
    uint32_t count_bytes = 2 * packed->segments * packed->blocks;
    uint32_t largest = packed->segments * (ST_ZERO_SKIP_SEGMENT / ST_ZERO_SKIP_ENTRIES) * group_bytes;
    st_fetch_t *fetch = st_fetch_open(packed->groups);
    if (fetch == NULL || largest > ST_FETCH_CHUNK || !st_fetch_fits(packed->groups, 0, 0) ||
        !st_fetch_fits(packed->counts, count_bytes, ST_FETCH_COUNTS)) {
        return 0;
    }
    if (*bias == NULL || !st_fetch_fits(*bias, bias_bytes, ST_FETCH_CHUNK)) {
        bias_bytes = 0;
    }
    fetch_counts(fetch, packed->counts, count_bytes);
    source_t source = {packed->groups, (const uint16_t *)fetch->counts, packed->segments, group_bytes, packed->blocks};
    *bias = run(fetch, &source, x, sums, *bias, bias_bytes);
    return 1;
}

#endif
