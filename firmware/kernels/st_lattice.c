#include "st_lattice.h"

#include "st_token.h"

#define NONE (ST_LIMITS_NONE16)
#define NOTHING (INT32_MIN)

uint32_t st_lattice_scratch_bytes(uint32_t max_nodes, uint32_t max_edges) {
    /* behind, link and index of each node; a list of words; a list of their strings and an intent */
    return max_nodes * (4 + 2 + 2) + max_edges * 2 + (2 * max_edges + 1) * 2;
}

/* Rows that the words just completed will take. */
typedef struct {
    uint32_t nodes;
    uint32_t edges;
} need_t;

ST_HOT static need_t count_needs(const st_search_t *search) {
    need_t need = {0, 0};
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        const st_entry_t *entries = st_token_entries(token);
        uint32_t words = 0;
        for (uint32_t k = 0; k < token->count; k++) {
            words += entries[k].word != NONE;
        }
        need.nodes += words > 0;
        need.edges += words;
    }
    return need;
}

static int has_room(const st_search_t *search, need_t need, int spare) {
    uint32_t nodes = search->node_count + need.nodes + (spare ? search->max_nodes / 8u : 0u);
    uint32_t edges = search->edge_count + need.edges + (spare ? search->max_edges / 8u : 0u);
    return nodes <= search->max_nodes && edges <= search->max_edges;
}

ST_HOT void st_lattice_drop_entries(st_search_t *search, int32_t beam) {
    for (uint32_t i = 0; i < search->token_count; i++) {
        st_token_t *token = st_search_token(search, i);
        const st_entry_t *entries = st_token_entries(token);
        while (entries[token->count - 1].score < token->score - beam) {
            token->count--;
        }
    }
}

ST_HOT void st_lattice_drop_tokens(st_search_t *search, int32_t floor) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        if (token->score >= floor) {
            if (kept != i) {
                memcpy(st_search_token(search, kept), token, search->token_bytes);
            }
            kept++;
        }
    }
    search->token_count = (uint16_t)kept;
}

void st_lattice_backward(const st_search_t *search, int32_t *behind) {
    const st_edge_t *edges = st_search_edges(search);
    for (uint32_t e = search->edge_count; e-- > 0;) {
        if (behind[edges[e].to] != NOTHING) {
            int32_t score = edges[e].acoustic + edges[e].language + behind[edges[e].to];
            behind[edges[e].from] = ST_MAX(behind[edges[e].from], score);
        }
    }
}

/* What the live tokens add to the nodes of their entries: scores relative to the token's best, so that
 * 0 is the best path of some token. */
static void live_continuations(const st_search_t *search, int32_t *behind) {
    const st_node_t *nodes = st_search_nodes(search);
    for (uint32_t n = 0; n < search->node_count; n++) {
        behind[n] = NOTHING;
    }
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        const st_entry_t *entries = st_token_entries(token);
        for (uint32_t k = 0; k < token->count; k++) {
            uint32_t n = entries[k].node;
            behind[n] = ST_MAX(behind[n], entries[k].score - token->score - nodes[n].score);
        }
    }
}

/* Keep the edges on live paths that score at least floor. */
static void compact_edges(st_search_t *search, int32_t floor, const int32_t *behind) {
    const st_node_t *nodes = st_search_nodes(search);
    st_edge_t *edges = st_search_edges(search);
    uint32_t kept = 0;
    for (uint32_t e = 0; e < search->edge_count; e++) {
        if (behind[edges[e].to] != NOTHING && st_lattice_through(nodes, &edges[e], behind) >= floor) {
            edges[kept++] = edges[e];
        }
    }
    search->edge_count = (uint16_t)kept;
}

/* Keep node 0 and the nodes on live paths; behind becomes the new index of each kept node. */
static void compact_nodes(st_search_t *search, int32_t floor, int32_t *behind) {
    st_node_t *nodes = st_search_nodes(search);
    uint32_t kept = 0;
    for (uint32_t n = 0; n < search->node_count; n++) {
        if (n == 0 || (behind[n] != NOTHING && nodes[n].score + behind[n] >= floor)) {
            behind[n] = (int32_t)kept;
            nodes[kept++] = nodes[n];
        }
    }
    search->node_count = (uint16_t)kept;
}

static void renumber(st_search_t *search, const int32_t *index) {
    st_edge_t *edges = st_search_edges(search);
    for (uint32_t e = 0; e < search->edge_count; e++) {
        edges[e].from = (uint16_t)index[edges[e].from];
        edges[e].to = (uint16_t)index[edges[e].to];
    }
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        st_entry_t *entries = st_token_entries(token);
        for (uint32_t k = 0; k < token->count; k++) {
            entries[k].node = (uint16_t)index[entries[k].node];
        }
    }
}

/* Mark and compact: keep what lies on a path of a live entry that is at least floor against its
 * token's best. */
static void collect(st_search_t *search, int32_t floor) {
    int32_t *behind = (int32_t *)st_search_scratch(search);
    live_continuations(search, behind);
    st_lattice_backward(search, behind);
    compact_edges(search, floor, behind);
    compact_nodes(search, floor, behind);
    renumber(search, behind);
}

static void make_room(st_search_t *search, int32_t best) {
    if (has_room(search, count_needs(search), 0)) {
        return;
    }
    collect(search, NOTHING);
    for (int32_t beam = search->lattice_beam; beam > 0 && !has_room(search, count_needs(search), 1);) {
        beam >>= 1;
        search->truncated = 1;
        st_lattice_drop_entries(search, beam);
        collect(search, -beam);
    }
    int32_t beam = search->beam;
    while (beam > 0 && !has_room(search, count_needs(search), 0)) {
        beam >>= 1;
        search->truncated = 1;
        st_lattice_drop_tokens(search, best - beam);
        collect(search, NOTHING);
    }
}

/* No room for a token's words: its paths go on from where they were, without them. */
static void forget_words(st_search_t *search, st_token_t *token) {
    const st_node_t *nodes = st_search_nodes(search);
    st_entry_t *entries = st_token_entries(token);
    uint32_t kept = 0;
    search->truncated = 1;
    for (uint32_t k = 0; k < token->count; k++) {
        uint32_t twin = 0;
        while (twin < kept && !st_same_class(nodes, entries[twin].node, entries[k].node)) {
            twin++;
        }
        if (twin == kept) {
            entries[kept] = entries[k];
            entries[kept++].word = NONE;
        }
    }
    token->count = (uint8_t)kept;
}

/* An entry without a word whose node is of the token's own class, or count. */
static uint32_t find_settled(const st_search_t *search, const st_token_t *token) {
    const st_node_t *nodes = st_search_nodes(search);
    const st_entry_t *entries = st_token_entries(token);
    uint32_t k = 0;
    while (k < token->count && !(entries[k].word == NONE && nodes[entries[k].node].state == token->state &&
                                 nodes[entries[k].node].context == token->context &&
                                 nodes[entries[k].node].bias == token->bias)) {
        k++;
    }
    return k;
}

static void add_edge(st_search_t *search, const st_entry_t *entry, uint32_t to) {
    int32_t acoustic = entry->score - st_search_nodes(search)[entry->node].score - entry->language;
    st_edge_t edge = {entry->node, (uint16_t)to, entry->word, entry->first, acoustic, entry->language};
    st_search_edges(search)[search->edge_count++] = edge;
}

/* Make the node for the words a token completed. Its edges are added worst first, so that
 * st_lattice_is_best finds the best entry's. */
static void settle(st_search_t *search, st_token_t *token, int32_t score) {
    uint32_t index = search->node_count++;
    st_node_t node = {score, search->steps, token->state, token->context, token->bias, token->doubt};
    st_search_nodes(search)[index] = node;
    const st_entry_t *entries = st_token_entries(token);
    for (uint32_t k = token->count; k-- > 0;) {
        if (entries[k].word != NONE) {
            add_edge(search, &entries[k], index);
            st_entry_remove(token, k);
        }
    }
    st_entry_t entry = {(uint16_t)index, NONE, NONE, 0, score, 0};
    st_entry_insert(token, search->max_alternatives, &entry);
}

static void drop_words(st_token_t *token) {
    const st_entry_t *entries = st_token_entries(token);
    for (uint32_t k = token->count; k-- > 0;) {
        if (entries[k].word != NONE) {
            st_entry_remove(token, k);
        }
    }
}

static void resolve(st_search_t *search, st_token_t *token) {
    const st_entry_t *entries = st_token_entries(token);
    uint32_t first = 0;
    need_t need = {1, 0};
    for (uint32_t k = token->count; k-- > 0;) {
        if (entries[k].word != NONE) {
            first = k;
            need.edges++;
        }
    }
    if (need.edges == 0) {
        return;
    }
    int32_t score = entries[first].score;
    uint32_t settled = find_settled(search, token);
    if (settled < token->count && entries[settled].score >= score) {
        drop_words(token);
    } else if (!has_room(search, need, 0)) {
        forget_words(search, token);
    } else {
        if (settled < token->count) {
            st_entry_remove(token, settled);
        }
        settle(search, token, score);
    }
}

ST_HOT void st_lattice_advance(st_search_t *search, int32_t best) {
    make_room(search, best);
    for (uint32_t i = 0; i < search->token_count; i++) {
        resolve(search, st_search_token(search, i));
    }
}

/* Write a word where there is room for it. Returns whether it is another than the one before. */
static int put_word(uint16_t *words, uint32_t capacity, uint32_t at, uint16_t word) {
    if (at >= capacity || words[at] == word) {
        return 0;
    }
    words[at] = word;
    return 1;
}

ST_HOT uint32_t st_lattice_count_words(const st_search_t *search, uint32_t node) {
    const st_node_t *nodes = st_search_nodes(search);
    const st_edge_t *edges = st_search_edges(search);
    uint32_t count = 0;
    for (uint32_t e = search->edge_count; e-- > 0;) {
        if (edges[e].to == node && st_lattice_is_best(nodes, &edges[e])) {
            node = edges[e].from;
            count++;
        }
    }
    return count;
}

/* Write the words of the best token's path, from the last on. Returns how many it has. */
ST_HOT static uint32_t write_words(const st_search_t *search, uint16_t *words, uint32_t capacity, int *changed) {
    const st_node_t *nodes = st_search_nodes(search);
    const st_edge_t *edges = st_search_edges(search);
    uint32_t node = st_token_entries(st_search_token(search, search->best))[0].node;
    uint32_t count = st_lattice_count_words(search, node);
    uint32_t at = count;
    for (uint32_t e = search->edge_count; e-- > 0;) {
        if (edges[e].to == node && st_lattice_is_best(nodes, &edges[e])) {
            node = edges[e].from;
            *changed |= put_word(words, capacity, --at, edges[e].word);
        }
    }
    return count;
}

st_status_t st_lattice_partial(const st_search_t *search, uint16_t *words, uint32_t capacity) {
    int changed = 0;
    return (st_status_t)write_words(search, words, capacity, &changed);
}

int st_lattice_renew(const st_search_t *search, uint16_t *words, uint32_t capacity) {
    int changed = 0;
    uint32_t count = write_words(search, words, capacity, &changed);
    return put_word(words, capacity, count, ST_LIMITS_NONE16) || changed;
}
