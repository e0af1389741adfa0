/* The front end and the log-softmax, through the method table.
 *
 * An input is the prior, int16 [40], then for each call a byte that says how many samples, and the samples. What
 * the front end made is taken as logits. */
#include "fuzz_util.h"

#define PRIOR_BYTES (2 * ST_FRONTEND_MEL_BANDS)
#define MAX_SAMPLES (2048)

static void soften(const int8_t *logits, uint32_t count, uint32_t scale_bits) {
    int32_t table[256];
    uint8_t *log_probs = fuzz_memory(2 * count);
    st_arg_t table_args[] = {fuzz_integer((int32_t)scale_bits), fuzz_buffer(table, sizeof(table))};
    if (stk_log_softmax_table(table_args) == 0) {
        st_arg_t args[] = {fuzz_buffer((void *)(uintptr_t)logits, count), table_args[1],
                           fuzz_buffer(log_probs, 2 * count)};
        FUZZ_REQUIRE(stk_log_softmax(args) == 0);
        for (uint32_t i = 0; i < count; i++) {
            FUZZ_REQUIRE(st_read_i16(log_probs + 2 * i) <= 0);
        }
    }
    free(log_probs);
}

/* One call; returns the samples taken from data. */
static uint32_t apply(st_arg_t state, const uint8_t *data, uint32_t available, uint32_t wanted) {
    uint32_t count = ST_MIN(wanted, available / 2);
    st_arg_t asked[] = {state, fuzz_integer((int32_t)count)};
    int32_t steps = stk_frontend_steps(asked);
    FUZZ_REQUIRE(steps >= 0);
    uint32_t bytes = (uint32_t)steps * ST_FRONTEND_FEATURE_SIZE;
    uint8_t *samples = fuzz_copy(data, 2 * count);
    uint8_t *features = fuzz_memory(bytes);
    st_arg_t args[] = {state, fuzz_buffer(samples, 2 * count), fuzz_buffer(features, bytes)};
    FUZZ_REQUIRE(stk_frontend_apply(args) == steps);
    if (bytes) {
        soften((const int8_t *)features, ST_FRONTEND_FEATURE_SIZE, st_crc32(0, features, bytes));
        soften((const int8_t *)features, ST_FRONTEND_FEATURE_SIZE, 0x3D800000u);
    }
    free(features);
    free(samples);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < PRIOR_BYTES) {
        return 0;
    }
    uint32_t bytes = (uint32_t)stk_frontend_size(NULL);
    uint8_t *prior = fuzz_copy(data, PRIOR_BYTES);
    st_arg_t init[] = {fuzz_buffer(fuzz_memory(bytes), bytes), fuzz_buffer(prior, PRIOR_BYTES)};
    FUZZ_REQUIRE(stk_frontend_init(init) == 0);
    uint32_t at = PRIOR_BYTES;
    while (at < size) {
        uint32_t wanted = ST_MIN(8u * data[at], MAX_SAMPLES);
        at += 1;
        at += 2 * apply(init[0], data + at, (uint32_t)size - at, wanted);
    }
    free(init[0].data);
    free(prior);
    return 0;
}
