/* A compiled grammar: its checks, and the search and the lattice that walk it.
 *
 * An input is the .stg file; what follows its file_bytes chooses the search's configuration and the random
 * log-probabilities. */
#include "fuzz_util.h"
#include "st_context.h"
#include "st_lattice.h"
#include "st_lattice_write.h"

#define MAX_STEPS (24)
#define MAX_LATTICE_BYTES (4096)
#define MAX_WORDS (16)
#define MAX_CONTEXT (12)
#define CONTROL_BYTES (16)

typedef struct {
    fuzz_random_t random;
    int32_t depth; /* of the log-probabilities, Q.10; the scorer fails at -1 */
    int16_t *log_probs;
} scorer_t;

static const int16_t *score(void *opaque, uint32_t context) {
    scorer_t *scorer = opaque;
    (void)context;
    if (scorer->depth < 0) {
        return NULL;
    }
    for (int unit = 0; unit < ST_MODEL_MAX_UNITS; unit++) {
        scorer->log_probs[unit] = (int16_t)-(int32_t)fuzz_below(&scorer->random, (uint32_t)scorer->depth + 1);
    }
    return scorer->log_probs;
}

/* A configuration in range seven times in eight, else with one wild value. */
static void configure(fuzz_random_t *random, int32_t *config) {
    config[ST_CONFIG_INDEX_MAX_TOKENS] = 1 + (int32_t)fuzz_below(random, 40);
    config[ST_CONFIG_INDEX_BEAM] = (int32_t)fuzz_below(random, 1 << fuzz_below(random, 25));
    config[ST_CONFIG_INDEX_LATTICE_BEAM] = (int32_t)fuzz_below(random, 1 << fuzz_below(random, 25));
    config[ST_CONFIG_INDEX_MAX_ALTERNATIVES] = 1 + (int32_t)fuzz_below(random, ST_LIMITS_SEARCH_ALTERNATIVES);
    config[ST_CONFIG_INDEX_MAX_NODES] = 1 + (int32_t)fuzz_below(random, 60);
    config[ST_CONFIG_INDEX_MAX_EDGES] = 1 + (int32_t)fuzz_below(random, 90);
    config[ST_CONFIG_INDEX_BLANK_PENALTY] = (int16_t)(fuzz_below(random, 2) ? fuzz_next(random) : 0);
    config[ST_CONFIG_INDEX_LANGUAGE_SCALE] = (int32_t)fuzz_below(random, INT16_MAX + 1);
    config[ST_CONFIG_INDEX_MAX_CONTEXT] = (int32_t)fuzz_below(random, MAX_CONTEXT);
    config[ST_CONFIG_INDEX_START_DISCOUNT] = (int16_t)(fuzz_below(random, 2) ? fuzz_next(random) : 0);
    config[ST_CONFIG_INDEX_REJECTION] = (int32_t)fuzz_below(random, 2 << fuzz_below(random, 16));
    if (fuzz_below(random, 8) == 0) {
        config[fuzz_below(random, ST_CONFIG_INDEX_COUNT)] = (int32_t)fuzz_next(random);
    }
}

static void read_lattice(st_search_t *search, const st_graph_t *graph, fuzz_random_t *random) {
    int32_t status[ST_STATUS_INDEX_COUNT];
    uint32_t capacity = fuzz_below(random, 4) ? MAX_LATTICE_BYTES : fuzz_below(random, MAX_LATTICE_BYTES);
    uint32_t words = fuzz_below(random, MAX_WORDS);
    uint8_t *lattice = fuzz_memory(capacity);
    uint8_t *partial = fuzz_memory(2 * words);
    st_search_status(search, graph, status);
    FUZZ_REQUIRE(status[ST_STATUS_INDEX_ACTIVE_TOKENS] > 0);
    st_lattice_partial(search, (uint16_t *)(void *)partial, words);
    st_status_t bytes = st_lattice_write(search, graph, lattice, capacity, 1, fuzz_next(random), fuzz_below(random, 4096));
    FUZZ_REQUIRE(bytes == -ST_ERROR_BUFFER_SMALL || (bytes >= ST_LATTICE_BYTES && (uint32_t)bytes <= capacity));
    free(partial);
    free(lattice);
}

/* A table in which links are right as often as not. */
static void set_context(st_search_t *search, const st_graph_t *graph, fuzz_random_t *random) {
    uint32_t count = fuzz_below(random, MAX_CONTEXT);
    uint8_t *table = fuzz_memory(count * ST_CONTEXT_NODE_BYTES);
    uint32_t child = 1;
    for (uint32_t n = 0; n < count; n++) {
        uint8_t *node = table + n * ST_CONTEXT_NODE_BYTES;
        child = ST_MAX(child, n + 1);
        st_write_u16(node + ST_CONTEXT_NODE_TEXT_OFFSET, fuzz_below(random, graph->string_count + 1u));
        st_write_u16(node + ST_CONTEXT_NODE_FOUND_OFFSET, n ? fuzz_below(random, ST_LIMITS_CONTEXT_BONUS + 1) : 0);
        st_write_u16(node + ST_CONTEXT_NODE_LENT_OFFSET, n ? fuzz_below(random, ST_LIMITS_CONTEXT_BONUS + 1) : 0);
        node[ST_CONTEXT_NODE_CHILD_OFFSET] = (uint8_t)child;
        node[ST_CONTEXT_NODE_FAIL_OFFSET] = (uint8_t)(n ? fuzz_below(random, n) : 0);
        child = ST_MIN(child + fuzz_below(random, 3), count);
    }
    if (count && fuzz_below(random, 2)) {
        table[fuzz_below(random, count * ST_CONTEXT_NODE_BYTES)] = (uint8_t)fuzz_next(random);
    }
    st_status_t status = st_context_set(search, table, count * ST_CONTEXT_NODE_BYTES);
    FUZZ_REQUIRE(status == 0 || status == -ST_ERROR_ARGUMENT || status == -ST_ERROR_CONTEXT_SIZE);
    free(table);
}

/* Another utterance, with other settings if they are in range; the tables stay. */
static void start_again(st_search_t *search, const st_graph_t *graph, fuzz_random_t *random) {
    int32_t config[ST_CONFIG_INDEX_COUNT];
    configure(random, config);
    st_status_t status = st_search_tune(search, config);
    FUZZ_REQUIRE(status == 0 || status == -ST_ERROR_ARGUMENT);
    st_search_start(search, graph);
}

static void search_graph(const st_graph_t *graph, fuzz_random_t *random) {
    int32_t config[ST_CONFIG_INDEX_COUNT];
    int context_size = (int)fuzz_below(random, ST_MODEL_MAX_CONTEXT + 1);
    configure(random, config);
    st_status_t bytes = st_search_size(config, context_size);
    if (bytes < 0 || bytes > 1 << 20) {
        return;
    }
    st_search_t *search = (st_search_t *)(void *)fuzz_memory((uint32_t)bytes);
    scorer_t scorer = {fuzz_random(fuzz_next(random)), 0, NULL};
    scorer.log_probs = (int16_t *)(void *)fuzz_memory(2 * ST_MODEL_MAX_UNITS);
    FUZZ_REQUIRE(st_search_init(search, config, context_size, ST_MODEL_MAX_UNITS, graph) == 0);
    for (uint32_t step = fuzz_below(random, MAX_STEPS); step > 0; step--) {
        scorer.depth = (int32_t)fuzz_below(random, INT16_MAX + 1) >> fuzz_below(random, 15);
        scorer.depth = fuzz_below(random, 64) ? scorer.depth : -1;
        st_status_t status = st_search_step(search, graph, score, &scorer);
        FUZZ_REQUIRE(status == (scorer.depth < 0 ? -ST_ERROR_INTERNAL : 0));
        if (fuzz_below(random, 8) == 0) {
            set_context(search, graph, random);
        }
        if (fuzz_below(random, 8) == 0) {
            read_lattice(search, graph, random);
        }
        if (fuzz_below(random, 16) == 0) {
            start_again(search, graph, random);
        }
    }
    read_lattice(search, graph, random);
    free(scorer.log_probs);
    free(search);
}

/* Bytes of the file, when the header tells the truth. */
static uint32_t file_bytes(const uint8_t *data, uint32_t size) {
    uint32_t bytes = size < ST_GRAPH_BYTES ? size : st_read_u32(data + ST_GRAPH_FILE_BYTES_OFFSET);
    return bytes >= ST_GRAPH_BYTES && bytes <= size ? bytes : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int32_t info[ST_INFO_INDEX_COUNT];
    st_graph_t graph;
    uint32_t bytes = file_bytes(data, (uint32_t)size);
    uint8_t *file = fuzz_copy(data, bytes);
    st_arg_t args[] = {fuzz_buffer(file, bytes), fuzz_buffer(info, sizeof(info))};
    int32_t status = stk_graph_check(args);
    FUZZ_REQUIRE(status == 0 || (status <= -ST_ERROR_GRAPH_TRUNCATED && status >= -ST_ERROR_GRAPH_SIZE));
    FUZZ_REQUIRE(status == 0 || (uint32_t)info[ST_INFO_INDEX_DETAIL] <= bytes);
    if (status == 0) {
        fuzz_random_t random = fuzz_random(st_crc32(0, data + bytes, (uint32_t)size - bytes));
        FUZZ_REQUIRE(st_graph_open(file, bytes, &graph, NULL) == 0);
        search_graph(&graph, &random);
    }
    free(file);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    fuzz_random_t random = fuzz_random(seed);
    uint32_t bytes = file_bytes(data, (uint32_t)size);
    uint32_t kind = fuzz_below(&random, 8);
    if (kind == 0) {
        size = LLVMFuzzerMutate(data, size, max_size);
    } else if (kind < 4 && bytes + CONTROL_BYTES <= max_size) { /* another search of the same graph */
        size = bytes + CONTROL_BYTES;
        fuzz_fill(&random, data + bytes, CONTROL_BYTES);
    } else {
        uint32_t header = kind == 4 ? 0 : ST_MIN(ST_GRAPH_BYTES, bytes);
        for (uint32_t changes = 1 + fuzz_below(&random, 3); changes > 0; changes--) {
            fuzz_change(&random, data, header, kind == 4 ? ST_MIN(ST_GRAPH_BYTES, bytes) : bytes);
        }
    }
    bytes = file_bytes(data, (uint32_t)size);
    if (bytes >= ST_GRAPH_BYTES && fuzz_below(&random, 16)) {
        fuzz_seal(data, bytes, ST_GRAPH_CRC_OFFSET);
    }
    return size;
}
