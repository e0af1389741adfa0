#include "st_endpoint.h"

#include "st_fixed.h"
#include "st_plan.h"

#define INPUT (0)
#define OUTPUT (1)
#define NONE (ST_LIMITS_NONE16)
#define NEVER (128)      /* a threshold that no int8 reaches */
#define MOST_STEPS (255) /* of a rule, and of what is counted for one */
#define MARGIN_LIMIT (1 << 14)
#define CONFIG(endpoint, name) ((endpoint)->config[ST_ENDPOINT_CONFIG_INDEX_##name])

/* --- starting ------------------------------------------------------------------------------ */

static int config_ok(const int32_t *config) {
    int good = config[ST_ENDPOINT_CONFIG_INDEX_RULE] >= 0 && config[ST_ENDPOINT_CONFIG_INDEX_RULE] <= ST_ENDPOINT_RULE_NET;
    for (int i = ST_ENDPOINT_CONFIG_INDEX_SPECULATIVE_THRESHOLD; i <= ST_ENDPOINT_CONFIG_INDEX_RETRACT_THRESHOLD; i++) {
        good = good && config[i] >= INT8_MIN && config[i] <= NEVER;
    }
    for (int i = ST_ENDPOINT_CONFIG_INDEX_SPECULATIVE_STEPS; i < ST_ENDPOINT_CONFIG_INDEX_LEAD_STEPS; i++) {
        good = good && config[i] >= 1 && config[i] <= MOST_STEPS;
    }
    int32_t lead = config[ST_ENDPOINT_CONFIG_INDEX_LEAD_STEPS];
    return good && lead >= 0 && lead <= MOST_STEPS;
}

/* Bytes, scale and zero point of input k of one subgraph and of another's. */
static int is_alike(const st_decoder_model_t *model, int a, int k, int b, int l) {
    uint32_t scales[2];
    int32_t zero_points[2];
    st_status_t bytes = st_model_tensor_bytes(model->state, model->file, a, INPUT, k);
    return bytes > 0 && bytes == st_model_tensor_bytes(model->state, model->file, b, INPUT, l) &&
           st_model_tensor_scale(model->state, model->file, a, INPUT, k, &scales[0], &zero_points[0]) == 0 &&
           st_model_tensor_scale(model->state, model->file, b, INPUT, l, &scales[1], &zero_points[1]) == 0 &&
           scales[0] == scales[1] && zero_points[0] == zero_points[1];
}

static int net_fits(const st_endpoint_t *endpoint, const st_decoder_model_t *model) {
    int net = endpoint->net;
    return net >= 0 && is_alike(model, endpoint->joint, 0, net, 0) && is_alike(model, endpoint->encoder, 0, net, 1) &&
           st_model_tensor_bytes(model->state, model->file, net, INPUT, 2) == ST_ENDPOINT_SEARCH_FEATURES &&
           st_model_tensor_bytes(model->state, model->file, net, OUTPUT, 0) == 1;
}

static uint32_t file_crc(const st_decoder_model_t *model) {
    return ((const st_plan_head_t *)(const void *)model->state)->file_crc;
}

st_status_t st_endpoint_init(st_endpoint_t *endpoint, const st_decoder_model_t *model, const int32_t *config) {
    static const char name[] = ST_ENDPOINT_SUBGRAPH;
    if (!config_ok(config)) {
        return -ST_ERROR_ARGUMENT;
    }
    memset(endpoint, 0, sizeof(*endpoint));
    memcpy(endpoint->config, config, sizeof(endpoint->config));
    endpoint->encoder = st_model_subgraph(model->state, model->file, "encoder", 7);
    endpoint->joint = st_model_subgraph(model->state, model->file, "joint", 5);
    endpoint->net = -1;
    st_status_t worst = ST_MIN(endpoint->encoder, endpoint->joint);
    if (worst < 0) {
        return worst;
    }
    if (st_model_tensor_bytes(model->state, model->file, endpoint->encoder, INPUT, 0) != ST_FRONTEND_FEATURE_SIZE) {
        return -ST_ERROR_MODEL_SUBGRAPH;
    }
    if (CONFIG(endpoint, RULE) == ST_ENDPOINT_RULE_NET) {
        endpoint->net = st_model_subgraph(model->state, model->file, name, sizeof(name) - 1);
        if (!net_fits(endpoint, model)) {
            return -ST_ERROR_MODEL_SUBGRAPH;
        }
    }
    endpoint->file_crc = file_crc(model);
    endpoint->logit = INT8_MIN;
    endpoint->magic = ST_ENDPOINT_MAGIC;
    return 0;
}

/* --- what a step looks like ------------------------------------------------------------------ */

static void *tensor(const st_decoder_model_t *model, int subgraph, int output, int k) {
    return model->state + st_model_tensor(model->state, model->file, subgraph, output, k);
}

/* Follow the energy, and count loud and quiet steps. */
static void hear(st_endpoint_t *endpoint, const int8_t *features) {
    int32_t energy = 0;
    for (int i = 0; i < ST_FRONTEND_FEATURE_SIZE; i++) {
        energy += features[i];
    }
    if (endpoint->steps == 0) {
        endpoint->floor = endpoint->peak = energy;
    }
    endpoint->floor = ST_MIN(endpoint->floor + ST_ENDPOINT_ENERGY_DRIFT, energy);
    endpoint->peak = ST_MAX(endpoint->peak - ST_ENDPOINT_ENERGY_DRIFT, energy);
    endpoint->energy = energy;
    if (energy - endpoint->floor >= ST_ENDPOINT_ENERGY_RANGE && 2 * energy > endpoint->floor + endpoint->peak) {
        endpoint->silent_steps = 0;
        endpoint->loud_steps = ST_MIN(endpoint->loud_steps + 1, MOST_STEPS);
    } else {
        endpoint->silent_steps = ST_MIN(endpoint->silent_steps + 1, MOST_STEPS);
    }
    endpoint->steps = 1;
}

/* Score of the best token on a final state less that of the best on another, clamped: Q.10. */
static int32_t final_margin(const st_search_t *search, const st_graph_t *graph) {
    int32_t best[2] = {0, 0};
    int known[2] = {0, 0};
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        int kind = st_graph_final(graph, token->state) != NONE;
        best[kind] = known[kind] ? ST_MAX(best[kind], token->score) : token->score;
        known[kind] = 1;
    }
    if (!known[0] || !known[1]) {
        return known[1] ? MARGIN_LIMIT - 1 : -MARGIN_LIMIT;
    }
    return st_clamp(best[1] - best[0], -MARGIN_LIMIT, MARGIN_LIMIT - 1);
}

/* What the net is told of the search and the energy. */
static void describe(st_endpoint_t *endpoint, const st_search_t *search, const st_graph_t *graph) {
    const st_token_t *best = st_search_token(search, search->best);
    int8_t *features = endpoint->features;
    int is_open = st_graph_first_arc(graph, best->state + 1u) > st_graph_first_arc(graph, best->state);
    features[ST_ENDPOINT_FEATURE_TRAILING_BLANKS] = (int8_t)ST_MIN(search->steps - best->last, INT8_MAX);
    features[ST_ENDPOINT_FEATURE_COMPLETE] = st_graph_final(graph, best->state) != NONE ? ST_ENDPOINT_FLAG : 0;
    features[ST_ENDPOINT_FEATURE_OPEN] = is_open ? ST_ENDPOINT_FLAG : 0;
    features[ST_ENDPOINT_FEATURE_MARGIN] = (int8_t)(final_margin(search, graph) >> ST_ENDPOINT_MARGIN_SHIFT);
    features[ST_ENDPOINT_FEATURE_UNITS] = (int8_t)ST_MIN(best->units, INT8_MAX);
    features[ST_ENDPOINT_FEATURE_TOKENS] = (int8_t)ST_MIN(search->token_count, INT8_MAX);
    features[ST_ENDPOINT_FEATURE_IN_WORD] = st_token_entries(best)->first != NONE ? ST_ENDPOINT_FLAG : 0;
    features[ST_ENDPOINT_FEATURE_SILENT_STEPS] = (int8_t)ST_MIN(endpoint->silent_steps, INT8_MAX);
    features[ST_ENDPOINT_FEATURE_BELOW_PEAK] =
        (int8_t)st_clamp((endpoint->energy - endpoint->peak) >> ST_ENDPOINT_ENERGY_SHIFT, INT8_MIN, INT8_MAX);
    features[ST_ENDPOINT_FEATURE_ABOVE_FLOOR] =
        (int8_t)st_clamp((endpoint->energy - endpoint->floor) >> ST_ENDPOINT_ENERGY_SHIFT, INT8_MIN, INT8_MAX);
}

/* Run the net, and count the steps that its logit has been high. */
static st_status_t ask(st_endpoint_t *endpoint, const st_decoder_model_t *model) {
    /* The joint's input, not the encoder's output: it is the same whichever encoder ran. */
    st_status_t bytes = st_model_tensor_bytes(model->state, model->file, endpoint->joint, INPUT, 0);
    memcpy(tensor(model, endpoint->net, INPUT, 0), tensor(model, endpoint->joint, INPUT, 0), (size_t)bytes);
    memcpy(tensor(model, endpoint->net, INPUT, 1), tensor(model, endpoint->encoder, INPUT, 0), ST_FRONTEND_FEATURE_SIZE);
    memcpy(tensor(model, endpoint->net, INPUT, 2), endpoint->features, ST_ENDPOINT_SEARCH_FEATURES);
    st_status_t status = st_model_invoke(model->state, model->file, endpoint->net);
    if (status < 0) {
        return status;
    }
    endpoint->logit = *(const int8_t *)tensor(model, endpoint->net, OUTPUT, 0);
    int is_likely = endpoint->logit >= CONFIG(endpoint, SPECULATIVE_THRESHOLD);
    int is_certain = endpoint->logit >= CONFIG(endpoint, FINAL_THRESHOLD);
    endpoint->above_speculative = is_likely ? ST_MIN(endpoint->above_speculative + 1, MOST_STEPS) : 0;
    endpoint->above_final = is_certain ? ST_MIN(endpoint->above_final + 1, MOST_STEPS) : 0;
    return 0;
}

/* --- deciding ------------------------------------------------------------------------------- */

/* Blanks that must follow the best hypothesis's last unit. */
static int32_t trailing_limit(const st_endpoint_t *endpoint, const st_token_t *best) {
    if (st_token_entries(best)->node == 0) {
        return CONFIG(endpoint, NO_WORD_STEPS);
    }
    if (!endpoint->features[ST_ENDPOINT_FEATURE_COMPLETE]) {
        return CONFIG(endpoint, PARTIAL_STEPS);
    }
    return endpoint->features[ST_ENDPOINT_FEATURE_OPEN] ? CONFIG(endpoint, COMPLETE_STEPS)
                                                        : CONFIG(endpoint, CLOSED_STEPS);
}

/* What the rules see in a step. */
typedef struct {
    int has_spoken;
    int is_over;
    int is_likely;
    int has_resumed;
} signs_t;

static signs_t read_signs(const st_endpoint_t *endpoint, const st_search_t *search) {
    const st_token_t *best = st_search_token(search, search->best);
    int32_t rule = CONFIG(endpoint, RULE);
    int32_t quiet = rule == ST_ENDPOINT_RULE_ENERGY ? endpoint->silent_steps : search->steps - best->last;
    int32_t limit = rule == ST_ENDPOINT_RULE_ENERGY ? CONFIG(endpoint, SILENCE_STEPS) : trailing_limit(endpoint, best);
    if (rule == ST_ENDPOINT_RULE_NET && endpoint->logit < 0) {
        limit = ST_MAX(limit, CONFIG(endpoint, PARTIAL_STEPS));
    }
    signs_t signs;
    signs.has_spoken =
        rule == ST_ENDPOINT_RULE_ENERGY ? endpoint->loud_steps >= ST_ENDPOINT_ENERGY_SPEECH_STEPS : best->units > 0;
    signs.is_over = quiet >= limit;
    signs.is_likely = quiet + CONFIG(endpoint, LEAD_STEPS) >= limit;
    signs.has_resumed = rule == ST_ENDPOINT_RULE_ENERGY
                            ? endpoint->silent_steps == 0
                            : best->units != endpoint->units || best->last != endpoint->last;
    if (rule == ST_ENDPOINT_RULE_NET) {
        signs.has_resumed |= endpoint->logit < CONFIG(endpoint, RETRACT_THRESHOLD) && !signs.is_likely;
        signs.is_over |= endpoint->above_final >= CONFIG(endpoint, FINAL_STEPS);
        signs.is_likely |= endpoint->above_speculative >= CONFIG(endpoint, SPECULATIVE_STEPS);
    }
    return signs;
}

static st_status_t decide(st_endpoint_t *endpoint, const st_search_t *search) {
    const st_token_t *best = st_search_token(search, search->best);
    signs_t signs = read_signs(endpoint, search);
    if (endpoint->phase == ST_ENDPOINT_PHASE_OVER || !signs.has_spoken) {
        return ST_VERDICT_NONE;
    }
    if (signs.is_over) {
        endpoint->phase = ST_ENDPOINT_PHASE_OVER;
        return ST_VERDICT_FINAL;
    }
    if (endpoint->phase == ST_ENDPOINT_PHASE_SPECULATED) {
        if (signs.has_resumed) {
            endpoint->phase = ST_ENDPOINT_PHASE_WAITING;
            endpoint->above_speculative = 0;
            return ST_VERDICT_RETRACT;
        }
    } else if (signs.is_likely) {
        endpoint->phase = ST_ENDPOINT_PHASE_SPECULATED;
        endpoint->units = best->units;
        endpoint->last = best->last;
        return ST_VERDICT_SPECULATE;
    }
    return ST_VERDICT_NONE;
}

ST_HOT st_status_t st_endpoint_step(st_endpoint_t *endpoint, const st_search_t *search, const st_decoder_model_t *model,
                             const st_graph_t *graph) {
    if (st_model_subgraph(model->state, model->file, "encoder", 7) != endpoint->encoder ||
        file_crc(model) != endpoint->file_crc) {
        return -ST_ERROR_STATE;
    }
    hear(endpoint, tensor(model, endpoint->encoder, INPUT, 0));
    describe(endpoint, search, graph);
    st_status_t status = endpoint->net >= 0 ? ask(endpoint, model) : 0;
    return status < 0 ? status : decide(endpoint, search);
}

void st_endpoint_status(const st_endpoint_t *endpoint, int32_t *status) {
    status[ST_ENDPOINT_STATUS_INDEX_PHASE] = endpoint->phase;
    status[ST_ENDPOINT_STATUS_INDEX_LOGIT] = endpoint->logit;
    status[ST_ENDPOINT_STATUS_INDEX_ENERGY] = endpoint->energy;
    status[ST_ENDPOINT_STATUS_INDEX_FLOOR] = endpoint->floor;
    status[ST_ENDPOINT_STATUS_INDEX_PEAK] = endpoint->peak;
    status[ST_ENDPOINT_STATUS_INDEX_SILENT_STEPS] = endpoint->silent_steps;
    status[ST_ENDPOINT_STATUS_INDEX_LOUD_STEPS] = endpoint->loud_steps;
    for (int i = 0; i < ST_ENDPOINT_SEARCH_FEATURES; i++) {
        status[ST_ENDPOINT_STATUS_INDEX_FEATURES + i] = endpoint->features[i];
    }
}
