/* How one multiplication makes two products.
 *
 * A word holds the weights w0 ... w7 of one row, w0 lowest. With every nibble's sign bit flipped it
 * holds u = w + 8, 0 to 15. Shifted by 4 i and masked it leaves u[i] + u[i + 4] * 2^16, and that times
 * x[i + 4] + x[i] * 2^16 is, modulo 2^32,
 *
 *     u[i] * x[i + 4]  +  (u[i] * x[i] + u[i + 4] * x[i + 4]) * 2^16.
 *
 * The sum over i = 0 ... 3 has the dot product of eight weights in its upper half, at most
 * 8 * 15 * 255 = 30600 in size. The lower half is of no use, at most 15300 in size, and a rounding of
 * 2^15 keeps it from borrowing from the upper one. -8 times the sum of all inputs, with which every
 * row's sum starts, turns u back into w.
 */
#include "st_dense_int4.h"

#include "st_dense.h"

#define SIGNS (0x88888888u)
#define PAIR (0x000F000Fu)
#define GROUP (8) /* weights of a word */
#define ROUNDING (0x8000)

static inline int32_t weight_at(const uint8_t *weights, uint32_t i) {
    uint32_t nibble = (uint32_t)weights[i >> 1] >> (4 * (i & 1)) & 15u;
    return (int32_t)(nibble ^ 8u) - 8;
}

int32_t st_dense_int4_dot_naive(const uint8_t *weights, uint32_t first, const int32_t *column, uint32_t depth) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < depth; i++) {
        sum += weight_at(weights, first + i) * column[i];
    }
    return sum;
}

ST_HOT const uint32_t *st_dense_int4_pack(int32_t *column, uint32_t depth) {
    uint32_t *pair = (uint32_t *)column; /* never ahead of the inputs */
    int32_t total = 0;
    for (const int32_t *x = column; x != column + depth; x += GROUP / 2) {
        for (const int32_t *half = x + GROUP / 2; x != half; x++) {
            total += x[0] + x[GROUP / 2];
            *pair++ = (uint32_t)x[GROUP / 2] + ((uint32_t)x[0] << 16);
        }
    }
    pair[0] = ROUNDING;
    pair[1] = (uint32_t)(-8 * total);
    return (const uint32_t *)column;
}

static inline uint32_t weight_word(const uint8_t *weights) {
    uint32_t word;
    memcpy(&word, __builtin_assume_aligned(weights, 4), 4);
    return word ^ SIGNS;
}

#define PRODUCTS(word, i, x) ((int32_t)(((word) >> 4 * (i) & PAIR) * (x)))

/* Two rows at once: both need the same inputs. The order of loads and sums, the end taken from the
 * column, and a rounding read from memory (a constant would be made anew each time) are what GCC
 * makes the fastest loop of. */
ST_HOT void st_dense_int4_dot_pair(const uint8_t *weights, uint32_t depth, const uint32_t *pairs, int32_t sums[2]) {
    uint32_t stride = depth / 2;
    const uint32_t *end = pairs + stride;
    int32_t rounding = (int32_t)end[0];
    int32_t first = (int32_t)end[1];
    int32_t second = first;
    do {
        uint32_t b = weight_word(weights + stride);
        uint32_t a = weight_word(weights);
        uint32_t x = pairs[3];
        int32_t s = rounding + PRODUCTS(a, 3, x);
        int32_t t = rounding + PRODUCTS(b, 3, x);
        x = pairs[2];
        s += PRODUCTS(a, 2, x);
        t += PRODUCTS(b, 2, x);
        x = pairs[1];
        s += PRODUCTS(a, 1, x);
        t += PRODUCTS(b, 1, x);
        x = pairs[0];
        s += PRODUCTS(a, 0, x);
        t += PRODUCTS(b, 0, x);
        first += s >> 16;
        second += t >> 16;
        weights += 4;
        pairs += 4;
    } while (pairs != end);
    sums[0] = first;
    sums[1] = second;
}

ST_HOT int32_t st_dense_int4_dot(const uint8_t *weights, uint32_t depth, const uint32_t *pairs) {
    const uint32_t *end = pairs + depth / 2;
    int32_t rounding = (int32_t)end[0];
    int32_t sum = (int32_t)end[1];
    do {
        uint32_t word = weight_word(weights);
        int32_t s = rounding + PRODUCTS(word, 3, pairs[3]);
        s += PRODUCTS(word, 2, pairs[2]);
        s += PRODUCTS(word, 1, pairs[1]);
        s += PRODUCTS(word, 0, pairs[0]);
        sum += s >> 16;
        weights += 4;
        pairs += 4;
    } while (pairs != end);
    return sum;
}

/* Of the file's positions alone, not of addresses: the file itself is aligned. */
static int is_packable(uint32_t weights, uint32_t depth) {
    return depth % GROUP == 0 && weights % 4 == 0;
}

static void rows_naive(const st_memory_t *memory, const st_record_conv_t *op, const int32_t *column, uint32_t depth,
                       int8_t *y) {
    const uint8_t *weights = memory->file + op->weights;
    st_dense_channel_t channel = st_dense_channels(memory, op);
    uint32_t first = 0;
    for (int8_t *end = y + op->y_depth; y != end; y++) {
        *y = st_dense_finish(&channel, st_dense_int4_dot_naive(weights, first, column, depth), op);
        first += depth;
    }
}

static void rows_packed(const st_memory_t *memory, const st_record_conv_t *op, const uint32_t *pairs, uint32_t depth,
                        int8_t *y) {
    const uint8_t *weights = memory->file + op->weights;
    st_dense_channel_t channel = st_dense_channels(memory, op);
    const int8_t *end = y + op->y_depth;
    while (end - y >= 2) {
        int32_t sums[ST_DENSE_FINISHED];
        uint32_t count = (uint32_t)ST_MIN(end - y, ST_DENSE_FINISHED) & ~1u;
        for (uint32_t row = 0; row < count; row += 2) {
            st_dense_int4_dot_pair(weights, depth, pairs, sums + row);
            weights += depth;
        }
        st_dense_finish_rows(&channel, sums, count, op, y);
        y += count;
    }
    if (y != end) {
        *y = st_dense_finish(&channel, st_dense_int4_dot(weights, depth, pairs), op);
    }
}

void st_dense_int4_rows(const st_memory_t *memory, const st_record_conv_t *op, int32_t *column, uint32_t depth,
                        int8_t *y) {
    if (is_packable(op->weights, depth)) {
        rows_packed(memory, op, st_dense_int4_pack(column, depth), depth, y);
    } else {
        rows_naive(memory, op, column, depth, y);
    }
}
