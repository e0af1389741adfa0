/* What the fuzz targets share: random numbers, buffers of exact size, seals, mutations.
 *
 * Every buffer that a kernel gets is an allocation of its own, so that the address sanitizer sees a
 * read or a write of one byte too many. */
#ifndef FUZZ_UTIL_H
#define FUZZ_UTIL_H

#include <stdio.h>
#include <stdlib.h>

#include "st_api.h"
#include "st_crc32.h"
#include "st_metadata.h"

/* libFuzzer's: entry points that a target defines, and its own mutations. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* A promise of the kernels that no sanitizer knows. */
#define FUZZ_REQUIRE(condition)                                                              \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

/* Xorshift. */
typedef struct {
    uint32_t state;
} fuzz_random_t;

static inline fuzz_random_t fuzz_random(uint32_t seed) {
    fuzz_random_t random = {seed * 2654435761u | 1u};
    return random;
}

static inline uint32_t fuzz_next(fuzz_random_t *random) {
    random->state ^= random->state << 13;
    random->state ^= random->state >> 17;
    random->state ^= random->state << 5;
    return random->state;
}

/* 0 ... limit - 1; 0 for a limit of 0. */
static inline uint32_t fuzz_below(fuzz_random_t *random, uint32_t limit) {
    return limit ? fuzz_next(random) % limit : 0;
}

static inline void fuzz_fill(fuzz_random_t *random, uint8_t *data, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(fuzz_next(random) >> 8);
    }
}

/* Zeroed memory of exactly so many bytes, aligned to 16; the caller frees it. */
static inline uint8_t *fuzz_memory(uint32_t bytes) {
    uint8_t *memory = calloc(1, bytes);
    FUZZ_REQUIRE(memory != NULL || bytes == 0);
    return memory;
}

static inline uint8_t *fuzz_copy(const uint8_t *data, uint32_t bytes) {
    uint8_t *memory = fuzz_memory(bytes);
    if (bytes) {
        memcpy(memory, data, bytes);
    }
    return memory;
}

static inline st_arg_t fuzz_buffer(void *data, uint32_t bytes) {
    st_arg_t arg = {data, bytes, 0};
    return arg;
}

static inline st_arg_t fuzz_integer(int32_t value) {
    st_arg_t arg = {NULL, 0, value};
    return arg;
}

static inline void fuzz_write_u32(uint8_t *data, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        data[i] = (uint8_t)(value >> 8 * i);
    }
}

/* Write the CRC-32 of data, its own four bytes taken as zero. */
static inline void fuzz_seal(uint8_t *data, uint32_t bytes, uint32_t at) {
    fuzz_write_u32(data + at, 0);
    fuzz_write_u32(data + at, st_crc32(0, data, bytes));
}

/* Where a model has its Stapes metadata; empty when it has none that could be sealed. */
static inline st_vector_t fuzz_metadata(const uint8_t *data, uint32_t bytes) {
    st_vector_t none = {0, 0};
    st_flatbuffer_t fb;
    if (bytes < 8) {
        return none;
    }
    st_fb_open(&fb, data, bytes);
    st_vector_t metadata = st_metadata_find(&fb, st_fb_follow(&fb, 0));
    return metadata.count >= ST_METADATA_BYTES && !fb.damaged ? metadata : none;
}

/* Make a model's checksum right, so that what lies behind it is reached. */
static inline void fuzz_seal_model(uint8_t *data, uint32_t bytes) {
    st_vector_t metadata = fuzz_metadata(data, bytes);
    if (metadata.count) {
        fuzz_seal(data, bytes, metadata.at + ST_METADATA_FILE_CRC_OFFSET);
    }
}

/* One change within data[first, end): a byte, a half-word, a word or a reference, often to a value at
 * which code breaks, or a word copied from elsewhere in the range. */
void fuzz_change(fuzz_random_t *random, uint8_t *data, uint32_t first, uint32_t end);

/* 1 to 4 changes; one time in four libFuzzer's own mutation of the whole. Returns the new size. */
size_t fuzz_mutate(fuzz_random_t *random, uint8_t *data, size_t size, size_t max_size);

/* The target of a model file: check it, plan it, run every subgraph. */
void fuzz_run_model(const uint8_t *data, uint32_t bytes);

#endif
