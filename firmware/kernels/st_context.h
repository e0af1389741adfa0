/* Contextual biasing by shallow fusion: phrases that are likely now raise the scores of the paths that say them.
 *
 * The phrases are words of the graph, told apart by their texts, in a trie with failure links (A. Aho and
 * M. Corasick, 1975). A path's context state is the node of the longest suffix of its words that begins a phrase;
 * when it says a word and so goes from node a to node b, it gains
 *
 *   found(b) + lent(b) - lent(a)
 *
 * found: the bonus of all phrases that end there. lent: a part of the bonus of a phrase not yet said in full, so that
 * the beam keeps it until it is; it is taken back if the phrase is not finished, and at the sentence's end. So what a
 * whole path has gained is the sum of the bonuses of the phrases in it, each as often as it was said.
 *
 * Reference: D. Zhao et al., Shallow-Fusion End-to-End Contextual Biasing, Interspeech 2019; on the potentials: A. Ng
 * et al., Policy invariance under reward transformations, ICML 1999. */
#ifndef ST_CONTEXT_H
#define ST_CONTEXT_H

#include "st_search.h"

/* Replace the phrases, at any time between two steps: what was lent is taken back, what was found stays.
 *
 * Args: table: layout.context_node [n], any alignment, n = bytes / ST_CONTEXT_NODE_BYTES; none: no phrases.
 * Returns: 0, -ST_ERROR_CONTEXT_SIZE (no room for so many nodes), -ST_ERROR_ARGUMENT (a link leads where it must not,
 *   a number is out of range; nothing has changed). */
st_status_t st_context_set(st_search_t *search, const uint8_t *table, uint32_t bytes);

/* The node that a word leads to from a node, at least one of which there must be. */
uint32_t st_context_next(const st_search_t *search, const st_graph_t *graph, uint32_t node, uint32_t word);

/* What going from node a to node b gains, Q.10. */
static inline int32_t st_context_gain(const st_search_t *search, uint32_t a, uint32_t b) {
    const st_context_node_t *nodes = st_search_context(search);
    return nodes[b].found + nodes[b].lent - nodes[a].lent;
}

/* What a path at a node has on account, Q.10. */
static inline int32_t st_context_lent(const st_search_t *search, uint32_t node) {
    return search->context_count ? st_search_context(search)[node].lent : 0;
}

/* The part of an edge's language score that is the context's, Q.10. */
int32_t st_context_bias(const st_search_t *search, const st_graph_t *graph, const st_edge_t *edge);

#endif
