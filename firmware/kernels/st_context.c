#include "st_context.h"

#define FIELD(name) ST_CONTEXT_NODE_##name##_OFFSET

static st_context_node_t read_node(const uint8_t *record) {
    st_context_node_t node = {st_read_u16(record + FIELD(TEXT)), st_read_i16(record + FIELD(FOUND)),
                              st_read_i16(record + FIELD(LENT)), record[FIELD(CHILD)], record[FIELD(FAIL)]};
    return node;
}

static int bonus_ok(int32_t bonus) {
    return bonus >= 0 && bonus <= ST_LIMITS_CONTEXT_BONUS;
}

/* Children come after their parent and failure links lead back, so that no walk is endless. */
static int table_ok(const uint8_t *table, uint32_t count) {
    uint32_t child = 1;
    for (uint32_t n = 0; n < count; n++) {
        st_context_node_t node = read_node(table + n * ST_CONTEXT_NODE_BYTES);
        if (!bonus_ok(node.found) || !bonus_ok(node.lent) || node.child < child || node.child <= n ||
            node.child > count || (n > 0 ? node.fail >= n : node.fail || node.found || node.lent)) {
            return 0;
        }
        child = node.child;
    }
    return 1;
}

/* Take back what is lent: every path is at the root again. */
static void rebase(st_search_t *search) {
    for (uint32_t i = 0; i < search->token_count; i++) {
        st_token_t *token = st_search_token(search, i);
        st_entry_t *entries = st_token_entries(token);
        int32_t lent = st_context_lent(search, token->bias);
        for (uint32_t k = 0; k < token->count; k++) {
            entries[k].score -= lent;
            entries[k].language -= lent;
        }
        token->score -= lent;
        token->bias = 0;
    }
    for (uint32_t n = 0; n < search->node_count; n++) {
        st_search_nodes(search)[n].bias = 0;
    }
    search->context_step = search->steps;
}

st_status_t st_context_set(st_search_t *search, const uint8_t *table, uint32_t bytes) {
    uint32_t count = bytes / ST_CONTEXT_NODE_BYTES;
    if (count > search->max_context) {
        return -ST_ERROR_CONTEXT_SIZE;
    }
    if (bytes % ST_CONTEXT_NODE_BYTES || !table_ok(table, count)) {
        return -ST_ERROR_ARGUMENT;
    }
    rebase(search);
    st_context_node_t *nodes = st_search_context(search);
    for (uint32_t n = 0; n < count; n++) {
        nodes[n] = read_node(table + n * ST_CONTEXT_NODE_BYTES);
    }
    search->context_count = (uint16_t)count;
    return 0;
}

static uint32_t text_of(const st_graph_t *graph, uint32_t word) {
    return st_read_u16(st_graph_word(graph, word) + ST_WORD_TEXT_OFFSET);
}

/* A node's child by its text, or 0. */
static uint32_t find_child(const st_search_t *search, uint32_t node, uint32_t text) {
    const st_context_node_t *nodes = st_search_context(search);
    uint32_t low = nodes[node].child;
    uint32_t end = node + 1 < search->context_count ? nodes[node + 1].child : search->context_count;
    uint32_t high = end;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (nodes[middle].text < text) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && nodes[low].text == text ? low : 0;
}

uint32_t st_context_next(const st_search_t *search, const st_graph_t *graph, uint32_t node, uint32_t word) {
    uint32_t text = text_of(graph, word);
    uint32_t child = find_child(search, node, text);
    while (child == 0 && node != 0) {
        node = st_search_context(search)[node].fail;
        child = find_child(search, node, text);
    }
    return child;
}

int32_t st_context_bias(const st_search_t *search, const st_graph_t *graph, const st_edge_t *edge) {
    const st_node_t *nodes = st_search_nodes(search);
    if (search->context_count == 0 || nodes[edge->to].time <= search->context_step) {
        return 0;
    }
    uint32_t from = nodes[edge->from].bias;
    return st_context_gain(search, from, st_context_next(search, graph, from, edge->word));
}
