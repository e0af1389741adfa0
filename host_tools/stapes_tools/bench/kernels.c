/* Products of a matrix with a vector, a function per kernel: for the emulated RP2040, which calls them one by one, and
 * for this computer, where main runs the one that its first argument names.
 *
 * weights: dense, or packed with its header; x: int8 [depth]; column: room for depth + 8 int32; sums: int32 [rows],
 * rows a multiple of 4. What a layer does once per vector, the conversion of its inputs, is in it; bias and
 * requantisation are not. */
#include "st_dense.h"
#include "st_dense_int4.h"
#include "st_model.h"
#include "st_zero_skip.h"

typedef void product_t(const uint8_t *weights, uint32_t rows, uint32_t depth, const int8_t *x, int32_t *column,
                       int32_t *sums);

void bench_dense_int8(const uint8_t *weights, uint32_t rows, uint32_t depth, const int8_t *x, int32_t *column,
                      int32_t *sums) {
    st_dense_widen(x, depth, 0, column);
    int32_t start = st_dense_begin(column, depth);
    for (uint32_t row = 0; row < rows; row += 2) {
        st_dense_pair((const int8_t *)weights + row * depth, depth, column, start, sums + row);
    }
    st_dense_end(column, depth);
}

void bench_dense_int4(const uint8_t *weights, uint32_t rows, uint32_t depth, const int8_t *x, int32_t *column,
                      int32_t *sums) {
    st_dense_widen(x, depth, 0, column);
    const uint32_t *pairs = st_dense_int4_pack(column, depth);
    for (uint32_t row = 0; row < rows; row += 2) {
        st_dense_int4_dot_pair(weights + row * (depth / 2), depth, pairs, sums + row);
    }
}

static st_zero_skip_t opened(const uint8_t *header, uint32_t rows, uint32_t depth) {
    st_zero_skip_t packed = {header + st_read_u32(header + ST_ZERO_SKIP_GROUPS_OFFSET_OFFSET),
                             header + ST_ZERO_SKIP_BYTES,
                             (depth + ST_ZERO_SKIP_SEGMENT - 1) / ST_ZERO_SKIP_SEGMENT, rows / ST_ZERO_SKIP_ROWS};
    return packed;
}

void bench_zero_skip_int8(const uint8_t *weights, uint32_t rows, uint32_t depth, const int8_t *x, int32_t *column,
                          int32_t *sums) {
    st_zero_skip_t packed = opened(weights, rows, depth);
    st_zero_skip_lift(x, depth, (uint8_t *)column);
    st_zero_skip_sums8(&packed, (const uint8_t *)column, (uint32_t *)sums);
}

void bench_zero_skip_int4(const uint8_t *weights, uint32_t rows, uint32_t depth, const int8_t *x, int32_t *column,
                          int32_t *sums) {
    st_zero_skip_t packed = opened(weights, rows, depth);
    st_zero_skip_lift(x, depth, (uint8_t *)column);
    st_zero_skip_sums4(&packed, (const uint8_t *)column, (uint32_t *)sums);
}

#ifdef __unix__
#include <stdio.h>
#include <stdlib.h>

/* Apart from main, so that its instructions can be told from the others. */
__attribute__((noinline)) st_status_t bench_step(uint8_t *state, st_model_file_t model, int subgraph) {
    return st_model_invoke(state, model, subgraph);
}

static uint8_t *read_file(const char *path, uint32_t *bytes) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 24); /* glibc aligns it to 16 */
    if (!file || !data) {
        exit(1);
    }
    *bytes = (uint32_t)fread(data, 1, 1 << 24, file);
    fclose(file);
    return data;
}

/* step MODEL: one invocation of the encoder. */
static int run_step(const char *path) {
    int32_t info[ST_INFO_INDEX_COUNT];
    st_model_file_t model;
    model.data = read_file(path, &model.bytes);
    st_status_t size = st_model_size(model, info);
    uint8_t *state = size > 0 ? malloc((size_t)size) : NULL;
    if (!state || st_model_init(state, (uint32_t)size, model, info) < 0) {
        return 1;
    }
    return bench_step(state, model, st_model_subgraph(state, model, "encoder", 7)) < 0;
}

/* KERNEL WEIGHTS ROWS DEPTH X: prints the sums. */
static int run_product(product_t *product, char **arguments) {
    uint32_t bytes;
    uint8_t *weights = read_file(arguments[0], &bytes);
    uint32_t rows = (uint32_t)atoi(arguments[1]);
    uint32_t depth = (uint32_t)atoi(arguments[2]);
    const int8_t *x = (const int8_t *)read_file(arguments[3], &bytes);
    int32_t *column = calloc(depth + 8, sizeof(*column));
    int32_t *sums = calloc(rows, sizeof(*sums));
    if (!column || !sums) {
        return 1;
    }
    product(weights, rows, depth, x, column, sums);
    for (uint32_t row = 0; row < rows; row++) {
        printf("%d\n", sums[row]);
    }
    return 0;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        product_t *product;
    } products[] = {{"bench_dense_int8", bench_dense_int8},
                    {"bench_dense_int4", bench_dense_int4},
                    {"bench_zero_skip_int8", bench_zero_skip_int8},
                    {"bench_zero_skip_int4", bench_zero_skip_int4}};
    if (count == 3 && strcmp(arguments[1], "step") == 0) {
        return run_step(arguments[2]);
    }
    for (size_t i = 0; count == 6 && i < sizeof(products) / sizeof(*products); i++) {
        if (strcmp(arguments[1], products[i].name) == 0) {
            return run_product(products[i].product, arguments + 2);
        }
    }
    return 1;
}
#endif
