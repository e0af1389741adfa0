/* A whole utterance: a model with encoder, predictor and joint, and a grammar, through the method table.
 *
 * An input is the model, the grammar, and a uint32: the bytes of the grammar. */
#include "fuzz_util.h"

#define MAX_STATE_BYTES (1u << 15)
#define MAX_DECODER_BYTES (1u << 18)
#define STEPS (6)
#define LATTICE_BYTES (1024)
#define WORDS (8)
#define FOOTER_BYTES (4)

typedef struct {
    st_arg_t model;
    st_arg_t state;
    st_arg_t graph;
    st_arg_t config;
    st_arg_t decoder;
    fuzz_random_t random;
} utterance_t;

/* Bytes of the grammar at the end of an input; 0 when the footer does not tell the truth. */
static uint32_t graph_bytes(const uint8_t *data, uint32_t size) {
    uint32_t bytes = size < FOOTER_BYTES ? 0 : st_read_u32(data + size - FOOTER_BYTES);
    return bytes <= size - ST_MIN(size, FOOTER_BYTES) ? bytes : 0;
}

static int32_t encode(utterance_t *u) {
    st_arg_t find[] = {u->state, u->model, fuzz_buffer((void *)(uintptr_t) "encoder", 7)};
    int32_t encoder = stk_model_subgraph(find);
    st_arg_t input[] = {u->state, u->model, fuzz_integer(encoder), fuzz_integer(0), fuzz_integer(0)};
    int32_t bytes = stk_model_tensor_size(input);
    if (bytes > 0) {
        fuzz_fill(&u->random, u->state.data + stk_model_tensor(input), (uint32_t)bytes);
    }
    st_arg_t step[] = {u->state, u->model, fuzz_integer((int32_t)fuzz_below(&u->random, 101))};
    return stk_encoder_step(step);
}

static void read_results(utterance_t *u) {
    int32_t status[ST_STATUS_INDEX_COUNT];
    uint32_t words = fuzz_below(&u->random, WORDS);
    uint32_t capacity = fuzz_below(&u->random, LATTICE_BYTES);
    uint8_t *partial = fuzz_memory(2 * words);
    uint8_t *lattice = fuzz_memory(capacity);
    st_arg_t status_args[] = {u->decoder, u->graph, fuzz_buffer(status, sizeof(status))};
    st_arg_t partial_args[] = {u->decoder, u->graph, fuzz_buffer(partial, 2 * words)};
    st_arg_t lattice_args[] = {u->decoder,      u->graph,        fuzz_buffer(lattice, capacity),
                               fuzz_integer(1), fuzz_integer(0), fuzz_integer((int32_t)fuzz_below(&u->random, 4096))};
    FUZZ_REQUIRE(stk_decoder_status(status_args) == 0);
    FUZZ_REQUIRE(stk_decoder_partial(partial_args) >= 0);
    int32_t written = stk_decoder_lattice(lattice_args);
    FUZZ_REQUIRE(written == -ST_ERROR_BUFFER_SMALL || (written > 0 && (uint32_t)written <= capacity));
    free(lattice);
    free(partial);
}

static void decode(utterance_t *u) {
    st_arg_t size[] = {u->state, u->model, u->graph, u->config};
    int32_t bytes = stk_decoder_size(size);
    if (bytes <= 0 || (uint32_t)bytes > MAX_DECODER_BYTES) {
        return;
    }
    u->decoder = fuzz_buffer(fuzz_memory((uint32_t)bytes), (uint32_t)bytes);
    st_arg_t init[] = {u->decoder, u->state, u->model, u->graph, u->config};
    if (stk_decoder_init(init) == 0) {
        for (int step = 0; step < STEPS; step++) {
            st_arg_t args[] = {u->decoder, u->state, u->model, u->graph};
            if (encode(u) < 0 || stk_decoder_step(args) < 0) {
                break;
            }
        }
        read_results(u);
    }
    free(u->decoder.data);
}

static void run(utterance_t *u) {
    int32_t info[ST_INFO_INDEX_COUNT];
    int32_t config[ST_CONFIG_INDEX_COUNT] = {12, 1 << 20, 1 << 14, 3, 20, 30, 0, 1024, 0};
    st_arg_t size[] = {u->model, fuzz_buffer(info, sizeof(info))};
    int32_t bytes = stk_model_size(size);
    if (bytes <= 0 || (uint32_t)bytes > MAX_STATE_BYTES) {
        return;
    }
    u->state = fuzz_buffer(fuzz_memory((uint32_t)bytes), (uint32_t)bytes);
    u->config = fuzz_buffer(config, sizeof(config));
    st_arg_t init[] = {u->state, u->model, size[1]};
    FUZZ_REQUIRE(stk_model_init(init) == 0);
    decode(u);
    free(u->state.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t graph = graph_bytes(data, (uint32_t)size);
    uint32_t model = (uint32_t)size - ST_MIN((uint32_t)size, graph + FOOTER_BYTES);
    utterance_t u = {0};
    u.model = fuzz_buffer(fuzz_copy(data, model), model);
    u.graph = fuzz_buffer(fuzz_copy(data + model, graph), graph);
    u.random = fuzz_random(st_crc32(0, data, (uint32_t)size));
    run(&u);
    free(u.graph.data);
    free(u.model.data);
    return 0;
}

/* The model and the grammar each whole, sealed, and for the same units; one time in 16 as they come out. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    fuzz_random_t random = fuzz_random(seed);
    uint32_t graph = graph_bytes(data, (uint32_t)size);
    if (graph < ST_GRAPH_BYTES || size < graph + FOOTER_BYTES) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    uint32_t model = (uint32_t)size - graph - FOOTER_BYTES;
    int first = fuzz_below(&random, 2) == 0;
    for (uint32_t changes = 1 + fuzz_below(&random, 3); changes > 0; changes--) {
        fuzz_change(&random, data, first ? 0 : model, first ? model : model + graph);
    }
    if (fuzz_below(&random, 16) == 0) {
        return size;
    }
    fuzz_seal_model(data, model);
    st_vector_t metadata = fuzz_metadata(data, model);
    if (metadata.count) {
        uint32_t units = st_read_u32(data + metadata.at + ST_METADATA_UNITS_CRC_OFFSET);
        fuzz_write_u32(data + model + ST_GRAPH_UNITS_CRC_OFFSET, units);
    }
    uint32_t bytes = st_read_u32(data + model + ST_GRAPH_FILE_BYTES_OFFSET);
    fuzz_seal(data + model, bytes >= ST_GRAPH_BYTES && bytes <= graph ? bytes : graph, ST_GRAPH_CRC_OFFSET);
    return size;
}
