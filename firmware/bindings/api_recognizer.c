/* The method recognizer_step: docs/kernels_api.md. It makes the calls of a step, one after the other, so that
 * a board's Python makes one. */
#include "api_decoder.h"
#include "st_lattice.h"

/* Its arguments. */
enum { FRONTEND, SAMPLES, MODEL_STATE, MODEL, DECODER, GRAPH, STATUS, WORDS, ENDPOINT, EFFORT };

static int32_t *status_of(const st_arg_t *args) {
    return (int32_t *)(void *)args[STATUS].data;
}

/* An error, and who refused. */
static int32_t refused(const st_arg_t *args, int32_t who, int32_t error) {
    status_of(args)[ST_STATUS_INDEX_BRANCH] = who;
    return error;
}

/* The encoder's input 0 as an argument of frontend_apply. */
static int32_t find_features(const st_arg_t *args, st_arg_t *features) {
    st_decoder_model_t model;
    int32_t status = st_api_get_model(&args[MODEL_STATE], &model);
    if (status < 0) {
        return status;
    }
    int32_t encoder = st_model_subgraph(model.state, model.file, "encoder", 7);
    int32_t at = encoder < 0 ? encoder : st_model_tensor(model.state, model.file, encoder, 0, 0);
    if (at < 0) {
        return at;
    }
    features->data = model.state + at;
    features->length = (uint32_t)st_model_tensor_bytes(model.state, model.file, encoder, 0, 0);
    return 0;
}

static int32_t encode(const st_arg_t *args) {
    const st_arg_t parts[] = {args[MODEL_STATE], args[MODEL], args[EFFORT]};
    return stk_encoder_step(parts);
}

/* One step of the search; the figures and the words after it. Returns 0 or ST_STEP_WORDS. */
static int32_t search_on(const st_arg_t *args) {
    const st_arg_t step[] = {args[DECODER], args[MODEL_STATE], args[MODEL], args[GRAPH]};
    st_graph_t graph;
    st_search_t *search;
    int32_t status = stk_decoder_step(step);
    if (status < 0 || (status = st_api_get_search(&args[DECODER], &args[GRAPH], &search, &graph)) < 0) {
        return status;
    }
    st_search_status(search, &graph, status_of(args));
    uint16_t *words = (uint16_t *)(void *)args[WORDS].data;
    return st_lattice_renew(search, words, args[WORDS].length / sizeof(uint16_t)) ? ST_STEP_WORDS : 0;
}

/* A verdict; none without an end-pointer. */
static int32_t judge(const st_arg_t *args) {
    const st_arg_t parts[] = {args[ENDPOINT], args[DECODER], args[MODEL_STATE], args[MODEL], args[GRAPH]};
    return args[ENDPOINT].length == 0 ? ST_VERDICT_NONE : stk_endpoint_step(parts);
}

ST_HOT int32_t stk_recognizer_step(const st_arg_t *args) {
    ST_REQUIRE(st_holds(&args[STATUS], ST_STATUS_INDEX_COUNT, sizeof(int32_t)), ARGUMENT);
    ST_REQUIRE(st_is_aligned(&args[WORDS], sizeof(uint16_t)), ARGUMENT);
    st_arg_t sound[] = {args[FRONTEND], args[SAMPLES], {NULL, 0, 0}};
    int32_t found = find_features(args, &sound[2]);
    if (found < 0) {
        return refused(args, ST_REFUSAL_ENCODER, found);
    }
    int32_t steps = stk_frontend_apply(sound);
    if (steps <= 0) {
        return steps == 0 ? 0 : refused(args, ST_REFUSAL_FRONT_END, steps);
    }
    int32_t branch = encode(args);
    if (branch < 0) {
        return refused(args, ST_REFUSAL_ENCODER, branch);
    }
    int32_t words = search_on(args);
    if (words < 0) {
        return refused(args, ST_REFUSAL_SEARCH, words);
    }
    status_of(args)[ST_STATUS_INDEX_BRANCH] = branch;
    status_of(args)[ST_STATUS_INDEX_LIGHT_STEPS] += branch == ST_BRANCH_LIGHT;
    int32_t verdict = judge(args);
    return verdict < 0 ? refused(args, ST_REFUSAL_END_POINTER, verdict)
                       : ST_STEP_MADE + words + ST_STEP_VERDICT * verdict;
}
