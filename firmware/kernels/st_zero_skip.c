#include "st_zero_skip.h"

/* A weight of an entry. Weights are stored without sign: w + 2^(bits - 1). */
static inline int32_t weight_at(const uint8_t *group, uint32_t entry, uint32_t row, uint32_t bits) {
    if (bits == 8) {
        return group[4 + 4 * entry + row] - 128;
    }
    /* A word of two entries: rows 0 and 1 in its lower half, a byte per entry, rows 2 and 3 in its upper half. */
    uint32_t byte = group[4 + 4 * (entry >> 1) + 2 * (row >> 1) + (entry & 1)];
    return (int32_t)(byte >> 4 * (row & 1) & 15u) - 8;
}

/* Adds one segment of a block to its sums; returns what follows it. Entries that its first group lacks are not there. */
static const uint8_t *add_segment(const uint8_t *group, uint32_t count, uint32_t bits, const uint8_t *x,
                                  uint32_t *sums) {
    uint32_t entry = (0u - count) % ST_ZERO_SKIP_ENTRIES;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t row = 0; row < ST_ZERO_SKIP_ROWS; row++) {
            sums[row] += (uint32_t)(weight_at(group, entry, row, bits) * x[group[entry]]);
        }
        if (++entry == ST_ZERO_SKIP_ENTRIES) {
            group += st_zero_skip_group_bytes(bits);
            entry = 0;
        }
    }
    return group;
}

void st_zero_skip_sums_naive(const st_zero_skip_t *packed, uint32_t bits, const uint8_t *x, uint32_t *sums) {
    const uint8_t *group = packed->groups;
    const uint8_t *count = packed->counts;
    for (uint32_t block = 0; block < packed->blocks; block++, sums += ST_ZERO_SKIP_ROWS) {
        memset(sums, 0, ST_ZERO_SKIP_ROWS * sizeof(*sums));
        for (uint32_t segment = 0; segment < packed->segments; segment++, count += 2) {
            group = add_segment(group, st_read_u16(count), bits, x + segment * ST_ZERO_SKIP_SEGMENT, sums);
        }
    }
}

#if !defined(__ARM_ARCH_6M__) /* there: st_zero_skip_m0.c */

void st_zero_skip_sums4(const st_zero_skip_t *packed, const uint8_t *x, uint32_t *sums) {
    st_zero_skip_sums_naive(packed, 4, x, sums);
}

void st_zero_skip_sums8(const st_zero_skip_t *packed, const uint8_t *x, uint32_t *sums) {
    st_zero_skip_sums_naive(packed, 8, x, sums);
}

#endif

/* --- in a model ------------------------------------------------------------------------- */

st_zero_skip_t st_zero_skip_open(const uint8_t *header, uint32_t rows, uint32_t depth) {
    st_zero_skip_t packed = {header + st_read_u32(header + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET),
                             header + ST_ZERO_SKIP_BYTES, st_zero_skip_segments(depth), st_zero_skip_blocks(rows)};
    return packed;
}

ST_HOT const uint8_t *st_zero_skip_sums(const uint8_t *header, uint32_t rows, uint32_t depth, const uint8_t *x,
                                 uint32_t *sums, const uint8_t *bias) {
#ifdef ST_FETCH
    if (st_zero_skip_fetched(header, rows, depth, x, sums, &bias)) {
        return bias;
    }
#endif
    st_zero_skip_t packed = st_zero_skip_open(header, rows, depth);
    if (st_zero_skip_bits(header) == 8) {
        st_zero_skip_sums8(&packed, x, sums);
    } else {
        st_zero_skip_sums4(&packed, x, sums);
    }
    return bias;
}

uint32_t st_zero_skip_sum_bytes(uint32_t rows) {
    return 4 * ST_ZERO_SKIP_ROWS * st_zero_skip_blocks(rows);
}

uint32_t st_zero_skip_scratch_bytes(uint32_t rows, uint32_t depth) {
    return st_zero_skip_sum_bytes(rows) + depth;
}

ST_HOT void st_zero_skip_lift(const int8_t *x, uint32_t count, uint8_t *column) {
    if ((((uint32_t)(uintptr_t)x | (uint32_t)(uintptr_t)column | count) & 3u) == 0) {
        for (const int8_t *end = x + count; x != end; x += 4, column += 4) {
            uint32_t word;
            memcpy(&word, __builtin_assume_aligned(x, 4), 4);
            word ^= 0x80808080u;
            memcpy(__builtin_assume_aligned(column, 4), &word, 4);
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        column[i] = (uint8_t)(x[i] + 128);
    }
}

static st_status_t refuse_at(st_plan_t *plan, uint32_t at) {
    return st_plan_refuse(plan, ST_ERROR_MODEL_TRUNCATED, (int32_t)at);
}

/* Whether the entries of one segment ascend and lie in it; or where not. */
static uint32_t find_bad_column(const st_plan_t *plan, uint32_t group, uint32_t group_bytes, uint32_t count,
                                uint32_t width) {
    uint32_t entry = (0u - count) % ST_ZERO_SKIP_ENTRIES;
    int32_t previous = -1;
    for (uint32_t i = 0; i < count; i++) {
        int32_t column = plan->fb.data[group + entry];
        if (column <= previous || (uint32_t)column >= width) {
            return group + entry;
        }
        previous = column;
        if (++entry == ST_ZERO_SKIP_ENTRIES) {
            group += group_bytes;
            entry = 0;
        }
    }
    return 0;
}

/* Every count and every column. at: the header; the groups lie between group and end. */
static st_status_t check_entries(st_plan_t *plan, uint32_t at, uint32_t rows, uint32_t depth, uint32_t bits,
                                 uint32_t group, uint32_t end) {
    uint32_t group_bytes = st_zero_skip_group_bytes(bits);
    uint32_t count_at = at + ST_ZERO_SKIP_BYTES;
    for (uint32_t block = 0; block < st_zero_skip_blocks(rows); block++) {
        for (uint32_t first = 0; first < depth; first += ST_ZERO_SKIP_SEGMENT, count_at += 2) {
            uint32_t width = ST_MIN(depth - first, ST_ZERO_SKIP_SEGMENT);
            uint32_t count = st_read_u16(plan->fb.data + count_at);
            uint32_t bytes = ((count + ST_ZERO_SKIP_ENTRIES - 1) / ST_ZERO_SKIP_ENTRIES) * group_bytes;
            if (count > width || bytes > end - group) {
                return refuse_at(plan, count_at);
            }
            uint32_t bad = find_bad_column(plan, group, group_bytes, count, width);
            if (bad) {
                return refuse_at(plan, bad);
            }
            group += bytes;
        }
    }
    return group == end ? 0 : refuse_at(plan, at + ST_ZERO_SKIP_GROUP_COUNT_OFFSET);
}

/* bits: that a weight must have, 0: any. */
static st_status_t check_header(st_plan_t *plan, const st_tensor_t *packed, uint32_t bits) {
    const uint8_t *header = plan->fb.data + packed->data;
    if (packed->type != ST_TENSOR_INT8 || packed->data % 4 != 0 || packed->bytes < ST_ZERO_SKIP_BYTES ||
        memcmp(header, ST_MAGIC_ZERO_SKIP, 4) != 0) {
        return st_op_refuse_type(plan, packed);
    }
    uint32_t version = st_read_u16(header + ST_ZERO_SKIP_VERSION_OFFSET);
    if (version != ST_VERSION_ZERO_SKIP) {
        return st_plan_refuse(plan, ST_ERROR_MODEL_VERSION, (int32_t)version);
    }
    uint32_t found = st_zero_skip_bits(header);
    int is_served = bits ? found == bits : found == 4 || found == 8;
    return is_served && header[ST_ZERO_SKIP_BIAS_OFFSET] <= ST_ZERO_SKIP_BIAS_LEFT_OUT
               ? 0
               : st_op_refuse_type(plan, packed);
}

st_status_t st_zero_skip_prepare(st_plan_t *plan, uint32_t k, uint32_t rows, uint32_t depth, uint32_t bits,
                                 uint32_t *header_at) {
    st_tensor_t packed;
    st_status_t status = st_plan_constant(plan, k, 0, &packed);
    if (status == 0) {
        status = check_header(plan, &packed, bits);
    }
    if (status < 0) {
        return status;
    }
    const uint8_t *header = plan->fb.data + packed.data;
    uint32_t groups = st_read_u32(header + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET);
    uint32_t counts_end = ST_ZERO_SKIP_BYTES + 2 * st_zero_skip_blocks(rows) *
                                                   st_zero_skip_segments(depth);
    uint32_t group_bytes = st_zero_skip_group_bytes(st_zero_skip_bits(header));
    if (groups % 4 != 0 || groups < counts_end || groups > packed.bytes ||
        (packed.bytes - groups) % group_bytes != 0 ||
        (packed.bytes - groups) / group_bytes != st_read_u32(header + ST_ZERO_SKIP_GROUP_COUNT_OFFSET)) {
        return refuse_at(plan, packed.data + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET);
    }
    *header_at = packed.data;
    return check_entries(plan, packed.data, rows, depth, st_zero_skip_bits(header), packed.data + groups,
                         packed.data + packed.bytes);
}
