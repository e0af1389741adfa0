/* Beam search of a monotonic RNN-T over a command graph, keeping a word lattice.
 *
 * In each encoder step a token takes the blank and stays on its graph state, or follows one arc,
 * emits the arc's unit and advances to the next step:
 *
 *   blank: score += log P(blank) - blank_penalty, and start_discount more in the graph's start state
 *   arc:   score += log P(unit) + max((language_scale * weight) >> 10, -32768), and what st_context.h adds for its word
 *
 * Doubt. A free loop of the units takes the best of blank and units in each step, and so scores at least as well as the
 * graph's best path. By how much it does, from the path's first unit to the end of its last word, tells speech that
 * the graph holds from other speech and from noise. Who waits for the first unit loses nothing: others may speak.
 *
 * A token is the best path into (graph state, last context_size units, context state). It carries up to
 * max_alternatives entries: paths that differ in the lattice node where their last word ended.
 * Entries of one token whose nodes agree in the same three are recombined: the better stays.
 * This is the word-pair approximation: the end of a word is placed for the best path through the
 * next one, not anew for each path.
 *
 * Why the discount. A penalty that every blank pays is a reward for every unit, and while somebody has yet to speak,
 * noise that is a little like speech would be made into words. Who waits for the first unit pays less.
 *
 * Order, everywhere the same and free of ties. Tokens: higher score, then lower state, lower
 * context, lower context state. Entries: higher score, then lower node, lower word, higher language score, earlier
 * first unit. A full token table gives up its last token, or refuses the new one.
 *
 * Range. |log P| <= 32 nats and the scaled weight is clamped likewise, penalty and
 * discount are int16, so one step changes a score by less than 98304 (Q.10) and ST_LIMITS_SEARCH_STEPS steps (eight
 * minutes) stay below 1.62e9 < 2^31, beams included: no rescaling, no saturation. Of the context a path has never gained
 * less than nothing, and never more than ST_LIMITS_CONTEXT_BONUS a step and once more: no bound is wider for it.
 *
 * Reference for the doubt: R. Rose and D. Paul, A hidden Markov model based keyword recognition system, ICASSP 1990 (the
 * filler's score beside the keyword's). For the search: A. Tripathi et al., Monotonic Recurrent Neural Network Transducer and Decoding
 * Strategies, ASRU 2019; H. Ney and X. Aubert, A word graph algorithm for large vocabulary,
 * continuous speech recognition, ICSLP 1994; S. Young et al., The HTK Book, lattice generation. */
#ifndef ST_SEARCH_H
#define ST_SEARCH_H

#include "st_graph.h"

/* One path into a token. */
typedef struct {
    uint16_t node;    /* where its last word ended */
    uint16_t word;    /* the word it completed in this very step, none16: none; none16 between steps */
    uint16_t first;   /* step of the first unit since node, none16: none yet */
    uint16_t reserved;
    int32_t score;    /* of the whole path, Q.10 */
    int32_t language; /* graph weights and the context's gains since node, Q.10 */
} st_entry_t;

/* max_alternatives entries follow, the first count in use, in order; score is the first's. */
typedef struct {
    int32_t score;
    uint16_t state;
    uint16_t context; /* the last units, one byte each, the newest in the low byte */
    uint16_t next;    /* chain of the hash bucket; while it is expanded: whether that has been done */
    uint16_t last;    /* steps consumed when the best path emitted its last unit, 0: none yet */
    uint16_t units;   /* units on the best path */
    uint8_t count;
    uint8_t bias;     /* context state */
    int32_t doubt;    /* of the best path since its first unit, Q.10 */
} st_token_t;

/* Nodes are kept in the order of time, edges in the order of their to-node. */
typedef struct {
    int32_t score; /* of the best path from node 0 */
    uint16_t time; /* steps consumed */
    uint16_t state;
    uint16_t context;
    uint16_t bias; /* context state */
    int32_t doubt; /* of the token's best path then */
} st_node_t;

/* acoustic: log-probabilities less blank penalties, from the end of the word before. language: with the context's gain,
 * which st_context_bias tells again. */
typedef struct {
    uint16_t from;
    uint16_t to;
    uint16_t word;
    uint16_t first;
    int32_t acoustic;
    int32_t language;
} st_edge_t;

/* layout.context_node, in the memory's own order. */
typedef struct {
    uint16_t text;
    int16_t found;
    int16_t lent;
    uint8_t child;
    uint8_t fail;
} st_context_node_t;

/* State; the tables follow. Private but for the offsets. */
typedef struct {
    uint32_t graph_crc;
    int32_t beam;
    int32_t lattice_beam;
    int32_t blank_penalty;
    int32_t start_discount;
    int32_t language_scale;
    int32_t rejection;
    uint16_t max_tokens;
    uint16_t max_alternatives;
    uint16_t max_nodes;
    uint16_t max_edges;
    uint16_t context_mask;
    uint16_t hash_mask;
    uint32_t token_bytes;
    uint32_t tokens[2]; /* byte offsets of the tables from this struct */
    uint32_t nodes;
    uint32_t edges;
    uint32_t hash;
    uint32_t context;
    uint16_t units; /* that the scorer scores */
    uint16_t max_context;
    uint16_t context_count; /* nodes, 0: no phrases */
    uint16_t current; /* which token table is live; the other one is scratch; from here on an utterance's own */
    uint16_t token_count;
    uint16_t best;
    uint16_t steps;
    uint16_t node_count;
    uint16_t edge_count;
    uint16_t truncated;
    uint16_t context_step; /* steps consumed when the context was set: what ended by then has gained nothing of it */
    int32_t tokens_dropped;
    int32_t joint_evaluations;
} st_search_t;

/* log P of every unit after a context, int16 [unit_count], Q5.10, each <= 0; NULL: stop the step.
 * Called at most once per distinct context and step. */
typedef const int16_t *(*st_scorer_t)(void *scorer, uint32_t context);

/* Bytes of state for config (int32 [ST_CONFIG_INDEX_COUNT]) and 1 or 2 context units, or
 * -ST_ERROR_ARGUMENT when one is out of range. */
st_status_t st_search_size(const int32_t *config, int context_size);

/* Start an utterance. search: at least st_search_size bytes, aligned to 4. units: how many the scorer scores. */
st_status_t st_search_init(st_search_t *search, const int32_t *config, int context_size, uint32_t units,
                           const st_graph_t *graph);

/* Take the beams, the penalty, the discount, the scale and the rejection of another config; the tables stay as they are.
 * -ST_ERROR_ARGUMENT: one is out of range, and nothing has changed. Before st_search_start. */
st_status_t st_search_tune(st_search_t *search, const int32_t *config);

/* Start another utterance with the configuration and the context of the one before. graph as in init. */
void st_search_start(st_search_t *search, const st_graph_t *graph);

/* One step. graph must be the one of init (its crc is compared: -ST_ERROR_STATE). After
 * ST_LIMITS_SEARCH_STEPS steps: -ST_ERROR_AUDIO_LENGTH. The scorer failed: -ST_ERROR_INTERNAL, and the
 * step did not happen. */
st_status_t st_search_step(st_search_t *search, const st_graph_t *graph, st_scorer_t score, void *scorer);

/* Fill status, int32 [ST_STATUS_INDEX_COUNT]. */
void st_search_status(const st_search_t *search, const st_graph_t *graph, int32_t *status);

static inline uint8_t *st_search_at(const st_search_t *search, uint32_t offset) {
    return (uint8_t *)search + offset;
}

static inline st_token_t *st_search_token(const st_search_t *search, uint32_t index) {
    uint8_t *table = st_search_at(search, search->tokens[search->current]);
    return (st_token_t *)(table + index * search->token_bytes);
}

static inline st_node_t *st_search_nodes(const st_search_t *search) {
    return (st_node_t *)st_search_at(search, search->nodes);
}

static inline st_edge_t *st_search_edges(const st_search_t *search) {
    return (st_edge_t *)st_search_at(search, search->edges);
}

static inline st_context_node_t *st_search_context(const st_search_t *search) {
    return (st_context_node_t *)st_search_at(search, search->context);
}

/* The dead token table: scratch between the expansions of two steps. */
static inline uint8_t *st_search_scratch(const st_search_t *search) {
    return st_search_at(search, search->tokens[1 - search->current]);
}

static inline st_entry_t *st_token_entries(const st_token_t *token) {
    return (st_entry_t *)(token + 1);
}

/* Is token a better than b? Total order on distinct (state, context, bias). */
static inline int st_token_better(const st_token_t *a, const st_token_t *b) {
    if (a->score != b->score) {
        return a->score > b->score;
    }
    if (a->state != b->state) {
        return a->state < b->state;
    }
    return a->context != b->context ? a->context < b->context : a->bias < b->bias;
}

#endif
