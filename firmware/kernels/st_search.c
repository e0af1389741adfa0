#include "st_search.h"

#include "st_context.h"
#include "st_lattice.h"
#include "st_token.h"

#define NONE (ST_LIMITS_NONE16)
#define WEIGHT_FLOOR (-32768)

static int in_range(int32_t value, int32_t low, int32_t high) {
    return value >= low && value <= high;
}

static int config_ok(const int32_t *config, int context_size) {
    return in_range(config[ST_CONFIG_INDEX_MAX_TOKENS], 1, ST_LIMITS_SEARCH_TOKENS) &&
           in_range(config[ST_CONFIG_INDEX_BEAM], 0, ST_LIMITS_SEARCH_BEAM) &&
           in_range(config[ST_CONFIG_INDEX_LATTICE_BEAM], 0, ST_LIMITS_SEARCH_BEAM) &&
           in_range(config[ST_CONFIG_INDEX_MAX_ALTERNATIVES], 1, ST_LIMITS_SEARCH_ALTERNATIVES) &&
           in_range(config[ST_CONFIG_INDEX_MAX_NODES], 1, ST_LIMITS_SEARCH_NODES) &&
           in_range(config[ST_CONFIG_INDEX_MAX_EDGES], 1, ST_LIMITS_SEARCH_EDGES) &&
           in_range(config[ST_CONFIG_INDEX_BLANK_PENALTY], INT16_MIN, INT16_MAX) &&
           in_range(config[ST_CONFIG_INDEX_START_DISCOUNT], INT16_MIN, INT16_MAX) &&
           in_range(config[ST_CONFIG_INDEX_LANGUAGE_SCALE], 0, INT16_MAX) &&
           in_range(config[ST_CONFIG_INDEX_REJECTION], 0, UINT16_MAX) &&
           in_range(config[ST_CONFIG_INDEX_MAX_CONTEXT], 0, ST_LIMITS_SEARCH_CONTEXT) &&
           in_range(context_size, 0, ST_MODEL_MAX_CONTEXT);
}

/* What may change from one utterance to the next. */
static void tune(st_search_t *search, const int32_t *config) {
    search->beam = config[ST_CONFIG_INDEX_BEAM];
    search->lattice_beam = config[ST_CONFIG_INDEX_LATTICE_BEAM];
    search->blank_penalty = config[ST_CONFIG_INDEX_BLANK_PENALTY];
    search->start_discount = config[ST_CONFIG_INDEX_START_DISCOUNT];
    search->language_scale = config[ST_CONFIG_INDEX_LANGUAGE_SCALE];
    search->rejection = config[ST_CONFIG_INDEX_REJECTION];
}

/* Fill the settings, and the sizes and offsets of the tables; returns the bytes of all. */
static uint32_t plan(st_search_t *search, const int32_t *config, int context_size) {
    memset(search, 0, sizeof(*search));
    tune(search, config);
    search->max_tokens = (uint16_t)config[ST_CONFIG_INDEX_MAX_TOKENS];
    search->max_alternatives = (uint16_t)config[ST_CONFIG_INDEX_MAX_ALTERNATIVES];
    search->max_nodes = (uint16_t)config[ST_CONFIG_INDEX_MAX_NODES];
    search->max_edges = (uint16_t)config[ST_CONFIG_INDEX_MAX_EDGES];
    search->max_context = (uint16_t)config[ST_CONFIG_INDEX_MAX_CONTEXT];
    search->context_mask = (uint16_t)((1u << (8 * context_size)) - 1u);
    uint32_t buckets = 8;
    while (buckets < search->max_tokens) {
        buckets *= 2;
    }
    search->hash_mask = (uint16_t)(buckets - 1);
    search->token_bytes = (uint32_t)(sizeof(st_token_t) + search->max_alternatives * sizeof(st_entry_t));
    uint32_t scratch = st_lattice_scratch_bytes(search->max_nodes, search->max_edges);
    uint32_t table = ST_ALIGN8(ST_MAX(search->max_tokens * search->token_bytes, scratch));
    search->tokens[0] = ST_ALIGN8(sizeof(*search));
    search->tokens[1] = search->tokens[0] + table;
    search->nodes = search->tokens[1] + table;
    search->edges = search->nodes + ST_ALIGN8(search->max_nodes * sizeof(st_node_t));
    search->hash = search->edges + ST_ALIGN8(search->max_edges * sizeof(st_edge_t));
    search->context = search->hash + ST_ALIGN8(buckets * sizeof(uint16_t));
    return search->context + search->max_context * (uint32_t)sizeof(st_context_node_t);
}

st_status_t st_search_size(const int32_t *config, int context_size) {
    st_search_t search;
    if (!config_ok(config, context_size)) {
        return -ST_ERROR_ARGUMENT;
    }
    return (st_status_t)plan(&search, config, context_size);
}

st_status_t st_search_init(st_search_t *search, const int32_t *config, int context_size, uint32_t units,
                           const st_graph_t *graph) {
    if (!config_ok(config, context_size)) {
        return -ST_ERROR_ARGUMENT;
    }
    plan(search, config, context_size);
    search->units = (uint16_t)units;
    st_search_start(search, graph);
    return 0;
}

st_status_t st_search_tune(st_search_t *search, const int32_t *config) {
    if (!config_ok(config, 0)) {
        return -ST_ERROR_ARGUMENT;
    }
    tune(search, config);
    return 0;
}

void st_search_start(st_search_t *search, const st_graph_t *graph) {
    memset(&search->current, 0, sizeof(*search) - offsetof(st_search_t, current));
    search->graph_crc = graph->crc;
    search->token_count = 1;
    search->node_count = 1;
    st_node_t start = {0, 0, graph->start_state, ST_MODEL_BLANK_UNIT, 0, 0};
    st_search_nodes(search)[0] = start;
    st_entry_t entry = {0, NONE, NONE, 0, 0, 0};
    st_token_t token = {0, graph->start_state, ST_MODEL_BLANK_UNIT, NONE, 0, 0, 1, 0, 0};
    *st_search_token(search, 0) = token;
    st_token_entries(st_search_token(search, 0))[0] = entry;
}

/* A graph weight in the search's terms. */
static int32_t scaled_weight(const st_search_t *search, int32_t weight) {
    int32_t scaled = (search->language_scale * weight) >> ST_Q_LOG_PROB_FRACTION_BITS;
    return ST_MAX(scaled, WEIGHT_FLOOR);
}

/* What a free loop of the units gains in the step. */
ST_HOT static int32_t free_gain(const st_search_t *search, const int16_t *log_probs) {
    int32_t best = log_probs[ST_MODEL_BLANK_UNIT] - search->blank_penalty;
    for (uint32_t unit = ST_MODEL_BLANK_UNIT + 1u; unit < search->units; unit++) {
        best = ST_MAX(best, log_probs[unit]);
    }
    return best;
}

ST_HOT static void expand_token(st_token_table_t *table, const st_graph_t *graph, const st_token_t *token,
                                const int16_t *log_probs, int32_t free) {
    const st_search_t *search = table->search;
    int32_t blank = log_probs[ST_MODEL_BLANK_UNIT] - search->blank_penalty;
    int32_t doubt = token->units != 0 ? free - blank : 0;
    if (token->state == graph->start_state) {
        blank += search->start_discount;
    }
    st_move_t move = {token->state, token->context, NONE, NONE, token->bias, blank, 0, doubt};
    st_token_table_relax(table, token, &move);
    move.step = search->steps;
    uint32_t end = st_graph_first_arc(graph, token->state + 1u);
    for (uint32_t a = st_graph_first_arc(graph, token->state); a < end; a++) {
        const uint8_t *arc = st_graph_arc(graph, a);
        uint32_t unit = arc[ST_GRAPH_ARC_UNIT_OFFSET];
        move.state = st_read_u16(arc + ST_GRAPH_ARC_NEXT_STATE_OFFSET);
        move.context = (uint16_t)(((token->context << 8) | unit) & search->context_mask);
        move.word = st_read_u16(arc + ST_GRAPH_ARC_WORD_OFFSET);
        move.acoustic = log_probs[unit];
        move.doubt = free - move.acoustic;
        move.language = scaled_weight(search, st_read_i16(arc + ST_GRAPH_ARC_WEIGHT_OFFSET));
        move.bias = token->bias;
        if (move.word != NONE && search->context_count != 0) {
            move.bias = (uint16_t)st_context_next(search, graph, token->bias, move.word);
            move.language += st_context_gain(search, token->bias, move.bias);
        }
        st_token_table_relax(table, token, &move);
    }
}

/* Expand every token that shares a context, from index on. Returns 0 when the scorer failed. */
ST_HOT static int expand_context(st_token_table_t *table, const st_graph_t *graph, uint32_t from, uint32_t context,
                          st_scorer_t score, void *scorer) {
    const st_search_t *search = table->search;
    const int16_t *log_probs = score(scorer, context);
    if (log_probs == NULL) {
        return 0;
    }
    int32_t free = free_gain(search, log_probs);
    for (uint32_t i = from; i < search->token_count; i++) {
        st_token_t *token = st_search_token(search, i);
        if (token->context == context) {
            expand_token(table, graph, token, log_probs, free);
            token->next = 1;
        }
    }
    return 1;
}

/* Expand all tokens, those of the best one's context first: it sets the beam early. */
static int expand_all(st_search_t *search, st_token_table_t *table, const st_graph_t *graph, st_scorer_t score,
                      void *scorer, int32_t *evaluations) {
    for (uint32_t i = 0; i < search->token_count; i++) {
        st_search_token(search, i)->next = 0;
    }
    uint32_t first = st_search_token(search, search->best)->context;
    if (!expand_context(table, graph, 0, first, score, scorer)) {
        return 0;
    }
    *evaluations = 1;
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        if (!token->next) {
            if (!expand_context(table, graph, i, token->context, score, scorer)) {
                return 0;
            }
            ++*evaluations;
        }
    }
    return 1;
}

static uint32_t find_best(const st_search_t *search) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < search->token_count; i++) {
        if (st_token_better(st_search_token(search, i), st_search_token(search, best))) {
            best = i;
        }
    }
    return best;
}

ST_HOT st_status_t st_search_step(st_search_t *search, const st_graph_t *graph, st_scorer_t score, void *scorer) {
    st_token_table_t table;
    int32_t evaluations = 0;
    if (search->graph_crc != graph->crc) {
        return -ST_ERROR_STATE;
    }
    if (search->steps >= ST_LIMITS_SEARCH_STEPS) {
        return -ST_ERROR_AUDIO_LENGTH;
    }
    st_token_table_start(&table, search, st_search_scratch(search));
    if (!expand_all(search, &table, graph, score, scorer, &evaluations)) {
        return -ST_ERROR_INTERNAL;
    }
    search->current = (uint16_t)(1 - search->current);
    search->token_count = (uint16_t)table.count;
    search->steps++;
    search->tokens_dropped += table.dropped;
    search->joint_evaluations += evaluations;
    st_lattice_drop_tokens(search, table.floor);
    /* This loses nothing: whatever follows, a path better by more than the lattice beam follows, too. */
    st_lattice_drop_entries(search, search->lattice_beam);
    st_lattice_advance(search, table.best);
    search->best = (uint16_t)find_best(search);
    return 0;
}

ST_HOT void st_search_status(const st_search_t *search, const st_graph_t *graph, int32_t *status) {
    const st_token_t *best = st_search_token(search, search->best);
    status[ST_STATUS_INDEX_STEPS] = search->steps;
    status[ST_STATUS_INDEX_ACTIVE_TOKENS] = search->token_count;
    status[ST_STATUS_INDEX_BEST_SCORE] = best->score;
    status[ST_STATUS_INDEX_BEST_IS_FINAL] = st_graph_final(graph, best->state) != NONE;
    status[ST_STATUS_INDEX_TRAILING_BLANKS] = search->steps - best->last;
    status[ST_STATUS_INDEX_UNITS_EMITTED] = best->units;
    status[ST_STATUS_INDEX_TOKENS_DROPPED] = search->tokens_dropped;
    status[ST_STATUS_INDEX_JOINT_EVALUATIONS] = search->joint_evaluations;
    status[ST_STATUS_INDEX_NODES_USED] = search->node_count;
    status[ST_STATUS_INDEX_EDGES_USED] = search->edge_count;
}
