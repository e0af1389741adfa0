#include "st_lattice_write.h"

#include "st_context.h"
#include "st_crc32.h"
#include "st_lattice.h"

#define NONE (ST_LIMITS_NONE16)
#define NOTHING (INT32_MIN)
#define BEAM_SHARES (64)
#define LINK_SHIFT (4) /* log2 of the most entries a token may have */
#define DOUBT_SHIFT (ST_Q_LOG_PROB_FRACTION_BITS - ST_Q_DOUBT_FRACTION_BITS)

/* What goes into the lattice, and where. */
typedef struct {
    const st_search_t *search;
    const st_graph_t *graph;
    const st_node_t *nodes;
    const st_edge_t *edges;
    int32_t *behind;      /* best score behind each node */
    uint16_t *link;       /* the entry that ends there: token << LINK_SHIFT | entry, NONE: none */
    uint16_t *index;      /* of each node in the lattice, NONE: left out */
    uint16_t *words;      /* sorted graph words */
    uint16_t *strings;    /* sorted graph strings */
    uint32_t word_count;
    uint32_t string_count;
    uint32_t string_bytes;
    uint32_t node_count;  /* the end node not counted */
    uint32_t edge_count;
    uint32_t best;        /* token */
    int32_t floor;
    uint16_t intent;      /* graph string */
    uint16_t complete;
    uint16_t rejected;
    uint16_t truncated;
    uint16_t doubt;       /* of the best path's words, Q.5 */
} writer_t;

static void carve_scratch(writer_t *w) {
    const st_search_t *search = w->search;
    w->behind = (int32_t *)st_search_scratch(search);
    w->link = (uint16_t *)(w->behind + search->max_nodes);
    w->index = w->link + search->max_nodes;
    w->words = w->index + search->max_nodes;
    w->strings = w->words + search->max_edges;
}

/* A token's score if nothing follows: what the context has lent for more words is taken back. */
static int32_t ended_score(const writer_t *w, const st_token_t *token) {
    return token->score - st_context_lent(w->search, token->bias);
}

/* Is it better to end with token a than with b? */
static int ends_higher(const writer_t *w, const st_token_t *a, const st_token_t *b) {
    int32_t difference = ended_score(w, a) - ended_score(w, b);
    return difference != 0 ? difference > 0 : st_token_better(a, b);
}

/* Find the tokens that may end the sentence: those on final states, or else all; and the best of them. */
static void find_end(writer_t *w) {
    const st_search_t *search = w->search;
    w->complete = 0;
    w->best = 0;
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        int final = st_graph_final(w->graph, token->state) != NONE;
        if (final > w->complete || (final == w->complete && ends_higher(w, token, st_search_token(search, w->best)))) {
            w->best = i;
        }
        w->complete |= final;
    }
}

/* Node where the best path's last word ended. */
static uint32_t best_node(const writer_t *w) {
    return st_token_entries(st_search_token(w->search, w->best))[0].node;
}

/* Was the best path meant, and what does it mean? Each word may have its share of doubt, and the sentence one more:
 * of a sentence of one word, that one's luck is all there is. */
static void judge(writer_t *w) {
    const st_search_t *search = w->search;
    int32_t doubt = w->nodes[best_node(w)].doubt;
    int32_t words = (int32_t)st_lattice_count_words(search, best_node(w));
    w->doubt = (uint16_t)ST_MIN(doubt >> DOUBT_SHIFT, UINT16_MAX);
    w->rejected = w->complete && search->rejection > 0 && doubt > search->rejection * (words + 1);
    w->intent = NONE;
    if (w->complete && !w->rejected) {
        w->intent = st_graph_final(w->graph, st_search_token(search, w->best)->state);
    }
}

/* The better way to end from a node: higher score, then the better token, then its order of entries. */
static int ends_better(const writer_t *w, const st_token_t *token, int32_t score, uint32_t n) {
    if (w->link[n] == NONE || score != w->behind[n]) {
        return w->link[n] == NONE || score > w->behind[n];
    }
    return st_token_better(token, st_search_token(w->search, w->link[n] >> LINK_SHIFT));
}

static void find_links(writer_t *w) {
    const st_search_t *search = w->search;
    for (uint32_t n = 0; n < search->node_count; n++) {
        w->behind[n] = NOTHING;
        w->link[n] = NONE;
    }
    for (uint32_t i = 0; i < search->token_count; i++) {
        const st_token_t *token = st_search_token(search, i);
        if (w->complete && st_graph_final(w->graph, token->state) == NONE) {
            continue;
        }
        const st_entry_t *entries = st_token_entries(token);
        int32_t lent = st_context_lent(search, token->bias);
        for (uint32_t k = 0; k < token->count; k++) {
            uint32_t n = entries[k].node;
            int32_t score = entries[k].score - lent - w->nodes[n].score;
            if (entries[k].score - lent >= w->floor && ends_better(w, token, score, n)) {
                w->behind[n] = score;
                w->link[n] = (uint16_t)(i << LINK_SHIFT | k);
            }
        }
    }
}

static int keeps_edge(const writer_t *w, const st_edge_t *edge) {
    return w->behind[edge->to] != NOTHING && st_lattice_through(w->nodes, edge, w->behind) >= w->floor;
}

/* Insert value into a sorted list without repeats. Returns 1 when it is new. */
static uint32_t insert_sorted(uint16_t *list, uint32_t count, uint16_t value) {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (list[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < count && list[low] == value) {
        return 0;
    }
    memmove(list + low + 1, list + low, (count - low) * sizeof(uint16_t));
    list[low] = value;
    return 1;
}

static uint32_t index_of(const uint16_t *list, uint32_t count, uint16_t value) {
    uint32_t i = 0;
    while (i < count && list[i] != value) {
        i++;
    }
    return i < count ? i : NONE;
}

/* Bytes of a string, its NUL included. */
static uint32_t text_bytes(const char *text) {
    uint32_t bytes = 1;
    while (*text++) {
        bytes++;
    }
    return bytes;
}

static void add_string(writer_t *w, uint16_t string) {
    if (string != NONE && insert_sorted(w->strings, w->string_count, string)) {
        w->string_count++;
        w->string_bytes += text_bytes(st_graph_string(w->graph, string));
    }
}

/* Number the nodes, and collect the words and strings in use. */
static void select_rows(writer_t *w) {
    w->node_count = w->edge_count = w->word_count = w->string_count = w->string_bytes = 0;
    for (uint32_t n = 0; n < w->search->node_count; n++) {
        int kept = w->behind[n] != NOTHING && w->nodes[n].score + w->behind[n] >= w->floor;
        w->index[n] = kept ? (uint16_t)w->node_count++ : NONE;
        w->edge_count += w->link[n] != NONE;
    }
    for (uint32_t e = 0; e < w->search->edge_count; e++) {
        if (keeps_edge(w, &w->edges[e])) {
            w->edge_count++;
            w->word_count += insert_sorted(w->words, w->word_count, w->edges[e].word);
        }
    }
    for (uint32_t i = 0; i < w->word_count; i++) {
        const uint8_t *word = st_graph_word(w->graph, w->words[i]);
        add_string(w, st_read_u16(word + ST_WORD_TEXT_OFFSET));
        add_string(w, st_read_u16(word + ST_WORD_SLOT_OFFSET));
    }
    add_string(w, w->intent);
}

static void write_edge(uint8_t *out, const uint16_t *ends, uint32_t word, uint32_t first, const int32_t *scores) {
    st_write_u16(out + ST_LATTICE_EDGE_FROM_NODE_OFFSET, ends[0]);
    st_write_u16(out + ST_LATTICE_EDGE_TO_NODE_OFFSET, ends[1]);
    st_write_u16(out + ST_LATTICE_EDGE_WORD_OFFSET, word);
    st_write_u16(out + ST_LATTICE_EDGE_FLAGS_OFFSET, 0);
    st_write_u32(out + ST_LATTICE_EDGE_START_MS_OFFSET, first * ST_FRONTEND_STEP_MS);
    st_write_u32(out + ST_LATTICE_EDGE_ACOUSTIC_OFFSET, (uint32_t)scores[0]);
    st_write_u32(out + ST_LATTICE_EDGE_LANGUAGE_OFFSET, (uint32_t)scores[1]);
}

/* The edges that carry words. Returns where the next edge goes. */
static uint8_t *write_word_edges(const writer_t *w, uint8_t *out) {
    for (uint32_t e = 0; e < w->search->edge_count; e++) {
        const st_edge_t *edge = &w->edges[e];
        if (keeps_edge(w, edge)) {
            const uint16_t ends[2] = {w->index[edge->from], w->index[edge->to]};
            const int32_t scores[2] = {edge->acoustic, edge->language - st_context_bias(w->search, w->graph, edge)};
            write_edge(out, ends, index_of(w->words, w->word_count, edge->word), edge->first, scores);
            out += ST_LATTICE_EDGE_BYTES;
        }
    }
    return out;
}

static const st_token_t *linked_token(const writer_t *w, uint32_t link) {
    return st_search_token(w->search, link >> LINK_SHIFT);
}

static const st_entry_t *linked_entry(const writer_t *w, uint32_t link) {
    return st_token_entries(linked_token(w, link)) + (link & ((1u << LINK_SHIFT) - 1));
}

/* The edges into the end node, by from-node; the best path's is flagged. Returns where the next
 * edge would go. */
static uint8_t *write_end_edges(const writer_t *w, uint8_t *out) {
    uint32_t best = best_node(w);
    for (uint32_t n = 0; n < w->search->node_count; n++) {
        if (w->link[n] == NONE) {
            continue;
        }
        const st_entry_t *entry = linked_entry(w, w->link[n]);
        const uint16_t ends[2] = {w->index[n], (uint16_t)w->node_count};
        int32_t language = entry->language;
        const int32_t scores[2] = {entry->score - w->nodes[n].score - language, language};
        write_edge(out, ends, NONE, w->nodes[n].time, scores);
        if (n == best) {
            st_write_u16(out + ST_LATTICE_EDGE_FLAGS_OFFSET, ST_EDGE_FLAGS_BEST);
        }
        out += ST_LATTICE_EDGE_BYTES;
    }
    return out;
}

/* Flag the word edges of the best path, last to first; end: behind the last written word edge. */
static void flag_best_path(const writer_t *w, uint8_t *end) {
    uint32_t node = best_node(w);
    for (uint32_t e = w->search->edge_count; e-- > 0;) {
        const st_edge_t *edge = &w->edges[e];
        if (!keeps_edge(w, edge)) {
            continue;
        }
        end -= ST_LATTICE_EDGE_BYTES;
        if (edge->to == node && st_lattice_is_best(w->nodes, edge)) {
            st_write_u16(end + ST_LATTICE_EDGE_FLAGS_OFFSET, ST_EDGE_FLAGS_BEST);
            node = edge->from;
        }
    }
}

/* What the context gives each edge, in their order, where there is one. Returns what comes behind. */
static uint8_t *write_biases(const writer_t *w, uint8_t *out) {
    if (w->search->context_count == 0) {
        return out;
    }
    for (uint32_t e = 0; e < w->search->edge_count; e++) {
        if (keeps_edge(w, &w->edges[e])) {
            st_write_u32(out, (uint32_t)st_context_bias(w->search, w->graph, &w->edges[e]));
            out += ST_LATTICE_BIAS_BYTES;
        }
    }
    for (uint32_t n = 0; n < w->search->node_count; n++) {
        if (w->link[n] != NONE) {
            st_write_u32(out, (uint32_t)-st_context_lent(w->search, linked_token(w, w->link[n])->bias));
            out += ST_LATTICE_BIAS_BYTES;
        }
    }
    return out;
}

static uint8_t *write_nodes(const writer_t *w, uint8_t *out) {
    for (uint32_t n = 0; n < w->search->node_count; n++) {
        if (w->index[n] != NONE) {
            st_write_u32(out + ST_LATTICE_NODE_TIME_MS_OFFSET, (uint32_t)w->nodes[n].time * ST_FRONTEND_STEP_MS);
            out += ST_LATTICE_NODE_BYTES;
        }
    }
    st_write_u32(out + ST_LATTICE_NODE_TIME_MS_OFFSET, (uint32_t)w->search->steps * ST_FRONTEND_STEP_MS);
    return out + ST_LATTICE_NODE_BYTES;
}

static uint8_t *write_words(const writer_t *w, uint8_t *out) {
    for (uint32_t i = 0; i < w->word_count; i++) {
        const uint8_t *word = st_graph_word(w->graph, w->words[i]);
        uint16_t text = st_read_u16(word + ST_WORD_TEXT_OFFSET);
        uint16_t slot = st_read_u16(word + ST_WORD_SLOT_OFFSET);
        st_write_u16(out + ST_WORD_TEXT_OFFSET, index_of(w->strings, w->string_count, text));
        st_write_u16(out + ST_WORD_SLOT_OFFSET, index_of(w->strings, w->string_count, slot));
        st_write_u16(out + ST_WORD_FLAGS_OFFSET, st_read_u16(word + ST_WORD_FLAGS_OFFSET));
        st_write_u16(out + ST_WORD_RESERVED_OFFSET, 0);
        out += ST_WORD_BYTES;
    }
    return out;
}

static void write_strings(const writer_t *w, uint8_t *out) {
    for (uint32_t i = 0; i < w->string_count; i++) {
        const char *text = st_graph_string(w->graph, w->strings[i]);
        uint32_t bytes = text_bytes(text);
        memcpy(out, text, bytes);
        out += bytes;
    }
}

/* The header, but for the checksum. */
static void write_header(const writer_t *w, uint8_t *out, uint32_t total, uint32_t utterance, uint32_t revision) {
    uint32_t flags = revision & ST_REVISION_SPECULATIVE ? 0 : ST_LATTICE_FLAGS_FINAL;
    flags |= w->complete ? ST_LATTICE_FLAGS_COMPLETE : 0;
    flags |= w->rejected ? ST_LATTICE_FLAGS_REJECTED : 0;
    flags |= w->truncated ? ST_LATTICE_FLAGS_TRUNCATED : 0;
    flags |= w->search->context_count ? ST_LATTICE_FLAGS_CONTEXT : 0;
    memset(out, 0, ST_LATTICE_BYTES);
    memcpy(out + ST_LATTICE_MAGIC_OFFSET, ST_MAGIC_LATTICE, 4);
    st_write_u16(out + ST_LATTICE_VERSION_OFFSET, ST_VERSION_LATTICE);
    st_write_u16(out + ST_LATTICE_HEADER_BYTES_OFFSET, ST_LATTICE_BYTES);
    st_write_u32(out + ST_LATTICE_TOTAL_BYTES_OFFSET, total);
    st_write_u32(out + ST_LATTICE_UTTERANCE_OFFSET, utterance);
    st_write_u16(out + ST_LATTICE_REVISION_OFFSET, revision);
    st_write_u16(out + ST_LATTICE_FLAGS_OFFSET, flags);
    st_write_u16(out + ST_LATTICE_NODE_COUNT_OFFSET, w->node_count + 1);
    st_write_u16(out + ST_LATTICE_EDGE_COUNT_OFFSET, w->edge_count);
    st_write_u16(out + ST_LATTICE_WORD_COUNT_OFFSET, w->word_count);
    st_write_u16(out + ST_LATTICE_STRING_COUNT_OFFSET, w->string_count);
    st_write_u16(out + ST_LATTICE_INTENT_OFFSET, index_of(w->strings, w->string_count, w->intent));
    st_write_u16(out + ST_LATTICE_DOUBT_OFFSET, w->doubt);
}

/* Choose what lies within a beam of the best path; returns the bytes it takes. */
static uint32_t select_within(writer_t *w, int32_t beam) {
    uint32_t edge_bytes = ST_LATTICE_EDGE_BYTES + (w->search->context_count ? ST_LATTICE_BIAS_BYTES : 0);
    w->floor = ended_score(w, st_search_token(w->search, w->best)) - beam;
    find_links(w);
    st_lattice_backward(w->search, w->behind);
    select_rows(w);
    return ST_LATTICE_BYTES + (w->node_count + 1) * ST_LATTICE_NODE_BYTES + w->edge_count * edge_bytes +
           w->word_count * ST_WORD_BYTES + w->string_bytes;
}

/* Choose the widest beam, in shares of the lattice beam, whose lattice takes at most so many bytes; without any,
 * the best path. Returns the bytes it takes. */
static uint32_t select_most(writer_t *w, uint32_t most) {
    int32_t beam = w->search->lattice_beam;
    uint32_t total = select_within(w, beam);
    if (total <= most) {
        return total;
    }
    int32_t fits = 0;
    int32_t exceeds = BEAM_SHARES;
    while (exceeds - fits > 1) {
        int32_t share = (fits + exceeds) / 2;
        if (select_within(w, beam * share / BEAM_SHARES) <= most) {
            fits = share;
        } else {
            exceeds = share;
        }
    }
    uint32_t kept = select_within(w, beam * fits / BEAM_SHARES);
    w->truncated |= kept < total;
    return kept;
}

st_status_t st_lattice_write(st_search_t *search, const st_graph_t *graph, uint8_t *out, uint32_t capacity,
                             uint32_t utterance, uint32_t revision, uint32_t budget) {
    writer_t w;
    if (search->graph_crc != graph->crc) {
        return -ST_ERROR_STATE;
    }
    memset(&w, 0, sizeof(w));
    w.search = search;
    w.graph = graph;
    w.nodes = st_search_nodes(search);
    w.edges = st_search_edges(search);
    w.truncated = search->truncated;
    carve_scratch(&w);
    find_end(&w);
    judge(&w);
    uint32_t total = select_most(&w, budget ? ST_MIN(budget, capacity) : capacity);
    if (total > capacity) {
        return -ST_ERROR_BUFFER_SMALL;
    }
    write_header(&w, out, total, utterance, revision);
    uint8_t *edges = write_nodes(&w, out + ST_LATTICE_BYTES);
    uint8_t *ends = write_word_edges(&w, edges);
    flag_best_path(&w, ends);
    write_strings(&w, write_words(&w, write_biases(&w, write_end_edges(&w, ends))));
    st_write_u32(out + ST_LATTICE_CRC_OFFSET, st_crc32(0, out, total));
    return (st_status_t)total;
}
