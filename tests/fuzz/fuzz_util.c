#include "fuzz_util.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Integers at limits, bits of float32 scales (zero, denormal, smallest, huge, infinite, not a number, negative), codes. */
static const uint32_t words[] = {
    0,          1,          2,          3,          4,          7,          8,          9,          16,
    17,         32,         64,         65,         127,        128,        255,        256,        512,
    513,        1024,       1025,       65535,      65536,      65537,      1u << 24,   (1u << 24) + 1, 1u << 28,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF80, 0xFFFFFFF8, 0x00000001, 0x007FFFFF, 0x00800000, 0x01000000,
    0x2F800000, 0x39800000, 0x3D800000, 0x3F800000, 0x4F000000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0xBD800000,
};

static uint32_t interesting(fuzz_random_t *random, uint32_t bytes) {
    switch (fuzz_below(random, 4)) {
        case 0:
            return fuzz_next(random);
        case 1:
            return fuzz_below(random, bytes);
        case 2:
            return fuzz_below(random, 16);
        default:
            return words[fuzz_below(random, COUNT(words))];
    }
}

void fuzz_change(fuzz_random_t *random, uint8_t *data, uint32_t first, uint32_t end) {
    if (end - first < 4) {
        return;
    }
    uint32_t bytes = end - first;
    uint32_t at = first + fuzz_below(random, bytes - 3);
    uint32_t word = first + (fuzz_below(random, bytes - 3) & ~3u);
    uint32_t half = first + (fuzz_below(random, bytes - 1) & ~1u);
    switch (fuzz_below(random, 8)) {
        case 0:
            data[at] = (uint8_t)interesting(random, bytes);
            break;
        case 1:
            data[at] ^= (uint8_t)(1u << fuzz_below(random, 8));
            break;
        case 2:
            data[half] = (uint8_t)interesting(random, bytes);
            data[half + 1] = (uint8_t)(fuzz_below(random, 4) ? 0 : fuzz_next(random));
            break;
        case 3:
            fuzz_write_u32(data + word, st_read_u32(data + word) + fuzz_below(random, 17) - 8);
            break;
        case 4: /* a reference to elsewhere */
            fuzz_write_u32(data + word, (first + (fuzz_below(random, bytes) & ~3u)) - word);
            break;
        case 5:
            fuzz_write_u32(data + word, st_read_u32(data + at));
            break;
        default:
            fuzz_write_u32(data + word, interesting(random, bytes));
    }
}

size_t fuzz_mutate(fuzz_random_t *random, uint8_t *data, size_t size, size_t max_size) {
    if (size < 8 || fuzz_below(random, 4) == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    for (uint32_t changes = 1 + fuzz_below(random, 4); changes > 0; changes--) {
        fuzz_change(random, data, 0, (uint32_t)size);
    }
    return size;
}
