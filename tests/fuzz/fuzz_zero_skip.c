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

static void add_to(uint8_t *byte, fuzz_random_t *random) {
    *byte = (uint8_t)(fuzz_below(random, 4) ? *byte + fuzz_below(random, 9) - 4 : fuzz_next(random));
}

/* A field of the header, a count, or an entry's input or weights, of the tensor at data[0, size). */
static void change_packed(fuzz_random_t *random, uint8_t *data, uint32_t size) {
    uint32_t step = st_zero_skip_group_bytes(data[ST_ZERO_SKIP_BITS_OFFSET] == 4 ? 4 : 8);
    uint32_t groups = st_read_u32(data + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET);
    uint32_t count = st_read_u32(data + ST_ZERO_SKIP_GROUP_COUNT_OFFSET);
    if (groups < ST_ZERO_SKIP_BYTES || groups >= size || count == 0 || count > (size - groups) / step) {
        fuzz_change(random, data, 0, size);
        return;
    }
    uint32_t group = groups + step * fuzz_below(random, count);
    switch (fuzz_below(random, 8)) {
        case 0:
            fuzz_change(random, data, 0, ST_ZERO_SKIP_BYTES);
            break;
        case 1:
            fuzz_change(random, data, ST_ZERO_SKIP_BYTES, groups);
            break;
        case 2: /* a count */
            add_to(data + ST_ZERO_SKIP_BYTES + 2 * fuzz_below(random, (groups - ST_ZERO_SKIP_BYTES) / 2), random);
            break;
        case 3:
            fuzz_change(random, data, group, group + step);
            break;
        default: /* an entry's input: ascending or not, inside the segment or not */
            add_to(data + group + fuzz_below(random, ST_ZERO_SKIP_ENTRIES), random);
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
            change_packed(&random, data + at, (uint32_t)size - at);
        }
    }
    fuzz_seal_model(data, (uint32_t)size);
    return size;
}
