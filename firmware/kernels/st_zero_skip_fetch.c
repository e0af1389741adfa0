/* Products of packed weights that are copied to RAM, one chunk of blocks while the chunk before is worked on.
 *
 * The first chunk comes with header and counts, which lie before it, in one copy: the lead. Where the layer before had
 * time for it (st_lead.h) it is in the pool already. */
#include "st_zero_skip.h"

#ifdef ST_FETCH

/* Bytes: nothing can be done while a lead comes that nobody has copied. Copying takes five sixths of the time that the
 * work takes, so the next chunks may be larger by a fifth and a bit each. */
#define FIRST_CHUNK (512)
#define LARGER(limit) ST_MIN((limit) + (limit) / 4, ST_FETCH_CHUNK)
#define HALF_A_BLOCK (128) /* or so */

/* A matrix on its way. */
typedef struct {
    const uint8_t *groups; /* in flash, of what comes next */
    const uint16_t *count; /* of it; a copy */
    const uint16_t *end;
    uint32_t segments;
    uint32_t group_bytes;
    uint32_t left; /* bytes of groups */
} source_t;

/* Blocks that are worked on at once. */
typedef struct {
    const uint16_t *counts;
    uint32_t blocks;
    uint32_t bytes; /* of their groups */
} chunk_t;

static inline uint32_t groups_of(uint32_t count) {
    return (count + ST_ZERO_SKIP_ENTRIES - 1) / ST_ZERO_SKIP_ENTRIES;
}

static inline uint32_t block_bytes(const source_t *source, const uint16_t *count) {
    uint32_t groups = 0;
    for (uint32_t segment = 0; segment < source->segments; segment++) {
        groups += groups_of(count[segment]);
    }
    return groups * source->group_bytes;
}

/* How many blocks of one segment fit; the most frequent case by far. */
static inline chunk_t take_single(const source_t *source, uint32_t limit) {
    const uint16_t *count = source->count;
    uint32_t bytes = 0;
    while (count != source->end) {
        uint32_t more = bytes + groups_of(*count) * source->group_bytes;
        if (more > limit) {
            break;
        }
        bytes = more;
        count++;
    }
    chunk_t chunk = {source->count, (uint32_t)(count - source->count), bytes};
    return chunk;
}

static inline chunk_t take_several(const source_t *source, uint32_t limit) {
    chunk_t chunk = {source->count, 0, 0};
    for (const uint16_t *count = source->count; count != source->end; count += source->segments) {
        uint32_t more = chunk.bytes + block_bytes(source, count);
        if (more > limit) {
            break;
        }
        chunk.bytes = more;
        chunk.blocks++;
    }
    return chunk;
}

/* Take the next blocks whose groups fit into limit bytes. */
static chunk_t take(source_t *source, uint32_t limit) {
    chunk_t chunk = source->segments == 1 ? take_single(source, limit) : take_several(source, limit);
    source->groups += chunk.bytes;
    source->left -= chunk.bytes;
    source->count += chunk.blocks * source->segments;
    return chunk;
}

/* Take the next blocks, at least one, if there is one, and begin to copy their groups. */
ST_HOT static chunk_t begin_chunk(source_t *source, uint32_t *to, uint32_t limit) {
    const uint8_t *groups = source->groups;
    chunk_t chunk = take(source, limit);
    if (chunk.blocks == 0 && source->count != source->end) {
        chunk = take(source, block_bytes(source, source->count));
    }
    if (chunk.bytes > 0) {
        st_fetch_start(to, groups, chunk.bytes);
    }
    return chunk;
}

/* Two chunks of a half each, not a large one and a tiny one: the bias is copied while the last one is worked on. */
static inline uint32_t next_limit(const source_t *source, uint32_t limit) {
    int is_nearly_all = source->left > limit && source->left < 2 * limit;
    return is_nearly_all ? ST_MIN(limit, source->left / 2 + HALF_A_BLOCK) : limit;
}

/* Where the bias goes, when chunk k is free: as far behind the place of the next layer's lead as may be. */
static inline uint32_t *bias_place(st_fetch_t *fetch, uint32_t k, uint32_t bytes) {
    return st_fetch_chunk(fetch, k) + (k == 0 ? (ST_FETCH_CHUNK - bytes) / 4 : 0);
}

/* lead: the groups that are in RAM already, lead_bytes of them. */
ST_HOT static const uint8_t *run(st_fetch_t *fetch, source_t *source, const uint8_t *lead, uint32_t lead_bytes,
                                 const uint8_t *x, uint32_t *sums, const uint8_t *bias, uint32_t bias_bytes) {
    uint32_t k = 0;
    uint32_t limit = ST_MAX(lead_bytes, FIRST_CHUNK);
    st_zero_skip_t part = {lead, NULL, source->segments, 0};
    chunk_t now = take(source, lead_bytes);
    if (now.blocks == 0) { /* the first one is too large for a lead */
        part.groups = (const uint8_t *)st_fetch_chunk(fetch, 0);
        now = begin_chunk(source, st_fetch_chunk(fetch, 0), FIRST_CHUNK);
        st_fetch_wait();
    }
    for (;;) {
        limit = LARGER(limit);
        uint32_t *other = st_fetch_chunk(fetch, k ^ 1u);
        chunk_t next = begin_chunk(source, other, next_limit(source, limit));
        uint32_t coming = next.bytes;
        if (next.blocks == 0 && bias_bytes > 0) {
            coming = bias_bytes;
            other = bias_place(fetch, k ^ 1u, bias_bytes);
            st_fetch_start(other, bias, bias_bytes);
            bias = (const uint8_t *)other;
        }
        part.counts = (const uint8_t *)now.counts;
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
        part.groups = (const uint8_t *)other;
        now = next;
        k ^= 1u;
    }
}

/* Header, counts and the first groups to the pool's beginning. Returns how many bytes of it are there. */
ST_HOT static uint32_t fetch_lead(st_fetch_t *fetch, const uint8_t *header, uint32_t groups_at, uint32_t groups_bytes) {
    if (fetch->held != header || fetch->held_bytes < groups_at) {
        uint32_t bytes = groups_at + ST_MIN(groups_bytes, FIRST_CHUNK);
        st_fetch_start(fetch->pool, header, bytes);
        st_fetch_wait();
        return bytes;
    }
    return ST_MIN(fetch->held_bytes, groups_at + groups_bytes);
}

ST_HOT int st_zero_skip_fetched(const uint8_t *header, uint32_t rows, uint32_t depth, const uint8_t *x, uint32_t *sums,
                                const uint8_t **bias) {
    st_fetch_t *fetch = st_fetch_open(header);
    if (fetch == NULL || !st_fetch_fits(header, 0, 0)) {
        return 0;
    }
    const uint8_t *known = fetch->held == header ? (const uint8_t *)fetch->pool : header;
    uint32_t group_bytes = st_zero_skip_group_bytes(st_zero_skip_bits(known));
    uint32_t groups_at = st_read_u32(known + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET);
    uint32_t groups_bytes = group_bytes * st_read_u32(known + ST_ZERO_SKIP_GROUP_COUNT_OFFSET);
    uint32_t segments = st_zero_skip_segments(depth);
    uint32_t largest = segments * (ST_ZERO_SKIP_SEGMENT / ST_ZERO_SKIP_ENTRIES) * group_bytes;
    if (largest > ST_FETCH_CHUNK || groups_at > ST_FETCH_COUNTS) {
        return 0;
    }
    uint32_t bias_bytes = *bias != NULL && st_fetch_fits(*bias, 4 * rows, ST_FETCH_CHUNK) ? 4 * rows : 0;
    uint32_t lead_bytes = fetch_lead(fetch, header, groups_at, groups_bytes);
    const uint8_t *lead = (const uint8_t *)fetch->pool;
    const uint16_t *counts = (const uint16_t *)(const void *)(lead + ST_ZERO_SKIP_BYTES);
    source_t source = {header + groups_at, counts, counts + segments * st_zero_skip_blocks(rows), segments, group_bytes,
                       groups_bytes};
    *bias = run(fetch, &source, lead + groups_at, lead_bytes - groups_at, x, sums, *bias, bias_bytes);
    return 1;
}

#endif
