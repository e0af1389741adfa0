/* Packed weights: a valid model whose packed tensors are changed. An input is the file. */
#include "fuzz_util.h"
#include "st_zero_skip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_run_model(data, (uint32_t)size);
    return 0;
}

/* The start of one of the packed tensors, or size. */
static uint32_t choose_packed(fuzz_random_t *random, const uint8_t *data, uint32_t size) {
    uint32_t found = size;
    uint32_t count = 0;
    for (uint32_t at = 0; at + ST_ZERO_SKIP_BYTES <= size; at += 4) {
        if (memcmp(data + at, ST_MAGIC_ZERO_SKIP, 4) == 0 && fuzz_below(random, ++count) == 0) {
            found = at;
        }
    }
    return found;
}

/* A field of the header, a count, or an entry's input or weights. */
static void change_packed(fuzz_random_t *random, uint8_t *data, uint32_t at, uint32_t size) {
    uint32_t groups = st_read_u32(data + at + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET);
    uint32_t bits = data[at + ST_ZERO_SKIP_BITS_OFFSET] == 4 ? 4 : 8;
    uint32_t end = ST_MIN(size - at, 4096);
    uint32_t step = st_zero_skip_group_bytes(bits);
    groups = groups < ST_ZERO_SKIP_BYTES || groups >= end ? end : groups;
    switch (fuzz_below(random, 6)) {
        case 0:
            fuzz_change(random, data, at + 4, at + ST_ZERO_SKIP_BYTES);
            break;
        case 1:
            fuzz_change(random, data, at + ST_ZERO_SKIP_BYTES, at + groups);
            break;
        case 2: { /* a count, by a little */
            uint32_t count = (groups - ST_ZERO_SKIP_BYTES) / 2;
            if (count) {
                uint32_t place = at + ST_ZERO_SKIP_BYTES + 2 * fuzz_below(random, count);
                data[place] = (uint8_t)(data[place] + fuzz_below(random, 9) - 4);
            }
            break;
        }
        case 3: { /* an entry's input, by a little: ascending or not, inside the segment or not */
            uint32_t place = groups + step * fuzz_below(random, (end - groups) / step) + fuzz_below(random, 4);
            if (place < end) {
                data[at + place] = (uint8_t)(data[at + place] + fuzz_below(random, 9) - 4);
            }
            break;
        }
        default:
            fuzz_change(random, data, at + groups, at + end);
    }
}

/* One time in eight anything in the file, too: shapes, scales, options of a packed layer. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    fuzz_random_t random = fuzz_random(seed);
    if (fuzz_below(&random, 8) == 0) {
        size = fuzz_mutate(&random, data, size, max_size);
    }
    for (uint32_t changes = 1 + fuzz_below(&random, 3); changes > 0; changes--) {
        uint32_t at = choose_packed(&random, data, (uint32_t)size);
        if (at < size) {
            change_packed(&random, data, at, (uint32_t)size);
        }
    }
    fuzz_seal_model(data, (uint32_t)size);
    return size;
}
