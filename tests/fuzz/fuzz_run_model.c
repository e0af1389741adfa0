/* Check a model file, plan it and run every subgraph, as the board does, and hold the results against
 * what docs/kernels_api.md promises. */
#include "fuzz_util.h"
#include "st_plan.h"

/* A larger state is not run: sanitized kernels would take seconds for it. */
#define MAX_STATE_BYTES (1u << 15)
#define PASSES (2)
#define INVOCATIONS (2)

typedef struct {
    st_arg_t state;
    st_arg_t file;
    uint32_t subgraphs;
    uint32_t seed;
} run_t;

static int32_t slot(const run_t *run, int32_t subgraph, int32_t output, int32_t k, int32_t *bytes) {
    st_arg_t args[] = {run->state, run->file, fuzz_integer(subgraph), fuzz_integer(output), fuzz_integer(k)};
    int32_t offset = stk_model_tensor(args);
    *bytes = stk_model_tensor_size(args);
    FUZZ_REQUIRE((offset < 0) == (*bytes < 0));
    if (offset >= 0) {
        FUZZ_REQUIRE(*bytes > 0 && (uint32_t)offset + (uint32_t)*bytes <= run->state.length && offset % 8 == 0);
    }
    return offset;
}

static int32_t count_slots(const run_t *run, int32_t subgraph, int32_t output) {
    int32_t bytes;
    int32_t count = 0;
    while (slot(run, subgraph, output, count, &bytes) >= 0) {
        count++;
    }
    return count;
}

/* Inputs that are not recurrent: any bytes; one time in two those of small int32, which serve as indices. */
static void fill_inputs(const run_t *run, int32_t subgraph, fuzz_random_t *random) {
    int32_t bytes;
    int32_t fresh = count_slots(run, subgraph, 0) - (count_slots(run, subgraph, 1) - 1);
    for (int32_t k = 0; k < fresh; k++) {
        uint8_t *data = run->state.data + slot(run, subgraph, 0, k, &bytes);
        if (fuzz_below(random, 2)) {
            fuzz_fill(random, data, (uint32_t)bytes);
        } else {
            memset(data, 0, (size_t)bytes);
            for (int32_t i = 0; i < bytes; i += 4) {
                data[i] = (uint8_t)fuzz_below(random, 3);
            }
        }
    }
}

/* What an invocation must write before it reads it: the arena, and the first output. */
static void spoil(const run_t *run, int32_t subgraph, uint8_t value) {
    int32_t bytes;
    const st_plan_head_t *head = (const st_plan_head_t *)(const void *)run->state.data;
    memset(run->state.data + head->arena, value, head->arena_bytes);
    uint8_t *output = run->state.data + slot(run, subgraph, 1, 0, &bytes);
    memset(output, value, (size_t)bytes);
}

static uint32_t outputs_crc(const run_t *run, int32_t subgraph, uint32_t crc) {
    int32_t bytes;
    int32_t count = count_slots(run, subgraph, 1);
    for (int32_t k = 0; k < count; k++) {
        int32_t offset = slot(run, subgraph, 1, k, &bytes);
        crc = st_crc32(crc, run->state.data + offset, (uint32_t)bytes);
    }
    return crc;
}

/* Run every subgraph, its memory spoilt before. Returns a CRC of all outputs, 0 when an index was out of range. */
static uint32_t run_subgraphs(const run_t *run, uint8_t spoilt) {
    uint32_t crc = 0;
    int failed = 0;
    fuzz_random_t random = fuzz_random(run->seed);
    for (int32_t subgraph = 0; subgraph < (int32_t)run->subgraphs; subgraph++) {
        for (int i = 0; i < INVOCATIONS; i++) {
            st_arg_t args[] = {run->state, run->file, fuzz_integer(subgraph)};
            fill_inputs(run, subgraph, &random);
            spoil(run, subgraph, spoilt);
            int32_t status = stk_model_invoke(args);
            FUZZ_REQUIRE(status == 0 || status == -ST_ERROR_ARGUMENT); /* an index of GATHER */
            failed |= status < 0;
            crc = outputs_crc(run, subgraph, crc);
        }
    }
    return failed ? 0 : crc;
}

/* One of the encoders runs; without branches it is the heavy one. */
static void run_encoder(const run_t *run) {
    st_arg_t light[] = {run->state, run->file, fuzz_buffer((void *)(uintptr_t) "encoder_light", 13)};
    st_arg_t heavy[] = {run->state, run->file, fuzz_buffer((void *)(uintptr_t) "encoder", 7)};
    int32_t last = stk_model_subgraph(light) < 0 ? ST_BRANCH_HEAVY : ST_BRANCH_LIGHT;
    int32_t encoder = stk_model_subgraph(heavy);
    fuzz_random_t random = fuzz_random(run->seed);
    for (int32_t effort = -1; effort <= 101; effort += 17) {
        st_arg_t args[] = {run->state, run->file, fuzz_integer(effort)};
        if (encoder >= 0) {
            fill_inputs(run, encoder, &random);
        }
        int32_t status = stk_encoder_step(args);
        int is_refused = effort < 0 || effort > 100;
        FUZZ_REQUIRE(status <= last && (!is_refused || status == -ST_ERROR_ARGUMENT));
        FUZZ_REQUIRE(is_refused || status >= 0 || status == -ST_ERROR_ARGUMENT || encoder < 0);
    }
}

/* The same inputs give the same outputs, whatever the arena held. */
static void run_passes(const run_t *run) {
    uint32_t crc[PASSES];
    for (int pass = 0; pass < PASSES; pass++) {
        FUZZ_REQUIRE(stk_model_reset(&run->state) == 0);
        crc[pass] = run_subgraphs(run, pass ? 0xA5 : 0x00);
    }
    FUZZ_REQUIRE(crc[0] == crc[1]);
}

/* What the caller may do wrong: another model, a subgraph that is not there, too small a state. */
static void refuse_strangers(const run_t *run) {
    int32_t info[ST_INFO_INDEX_COUNT];
    st_arg_t cut = fuzz_buffer(run->file.data, run->file.length - 1);
    st_arg_t other[] = {run->state, cut, fuzz_integer(0), fuzz_integer(0), fuzz_integer(0)};
    st_arg_t name[] = {run->state, cut, fuzz_buffer(NULL, 0)};
    st_arg_t absent[] = {run->state, run->file, fuzz_integer((int32_t)run->subgraphs)};
    FUZZ_REQUIRE(stk_model_invoke(other) == -ST_ERROR_STATE && stk_model_reset(other) == -ST_ERROR_STATE);
    FUZZ_REQUIRE(stk_model_tensor(other) == -ST_ERROR_STATE && stk_model_subgraph(name) == -ST_ERROR_STATE);
    FUZZ_REQUIRE(stk_model_invoke(absent) == -ST_ERROR_ARGUMENT);
    st_arg_t init[] = {run->state, run->file, fuzz_buffer(info, sizeof(info))};
    init[0].length -= 8;
    FUZZ_REQUIRE(stk_model_init(init) == -ST_ERROR_BUFFER_SMALL);
    init[0].length = 8;
    FUZZ_REQUIRE(stk_model_init(init) == -ST_ERROR_BUFFER_SMALL);
}

static void run_accepted(uint8_t *model, uint32_t bytes, uint32_t state_bytes) {
    int32_t info[ST_INFO_INDEX_COUNT];
    run_t run = {fuzz_buffer(fuzz_memory(state_bytes), state_bytes), fuzz_buffer(model, bytes), 0, 0};
    st_arg_t init[] = {run.state, run.file, fuzz_buffer(info, sizeof(info))};
    run.seed = st_crc32(0, model, bytes);
    FUZZ_REQUIRE(stk_model_init(init) == 0);
    while (count_slots(&run, (int32_t)run.subgraphs, 1) > 0) {
        run.subgraphs++;
    }
    FUZZ_REQUIRE(run.subgraphs >= 1 && run.subgraphs <= ST_MODEL_MAX_SUBGRAPHS);
    run_passes(&run);
    run_encoder(&run);
    refuse_strangers(&run);
    free(run.state.data);
}

void fuzz_run_model(const uint8_t *data, uint32_t bytes) {
    int32_t info[ST_INFO_INDEX_COUNT];
    uint8_t *model = fuzz_copy(data, bytes);
    st_arg_t args[] = {fuzz_buffer(model, bytes), fuzz_buffer(info, sizeof(info))};
    int32_t state_bytes = stk_model_size(args);
    FUZZ_REQUIRE(state_bytes > 0 || (state_bytes <= -ST_ERROR_MODEL_TRUNCATED && state_bytes > -ST_ERROR_GRAPH_TRUNCATED));
    if (state_bytes > 0 && (uint32_t)state_bytes <= MAX_STATE_BYTES) {
        run_accepted(model, bytes, (uint32_t)state_bytes);
    }
    free(model);
}
