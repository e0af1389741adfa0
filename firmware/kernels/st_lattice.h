/* The lattice under construction: nodes and edges while the search runs.
 *
 * A node stands for (graph state, context, context state, step): a token that crossed an arc with a word. Its
 * edges are the words that ended there, one for each (entry, word) that reached the token in that
 * step. When the tables cannot take a step's words:
 *
 * 1. what no live token reaches backwards is collected;
 * 2. then, until an eighth of each table is free, alternatives go: paths that are worse than the best
 *    path of the token they lead to, by a beam that starts at half the lattice beam and is halved
 *    down to 0. The search itself is not touched;
 * 3. if the best paths alone are too many, tokens go, by the search's beam halved down to 0;
 * 4. what still finds no room is left out of the lattice, its scores count on.
 *
 * From 2 on the lattice is marked truncated. */
#ifndef ST_LATTICE_H
#define ST_LATTICE_H

#include "st_search.h"

/* Scratch that this file and st_lattice_write.c need, in bytes. */
uint32_t st_lattice_scratch_bytes(uint32_t max_nodes, uint32_t max_edges);

/* Tokens below a score go. */
void st_lattice_drop_tokens(st_search_t *search, int32_t floor);

/* Entries worse than their token's best by more than beam go. */
void st_lattice_drop_entries(st_search_t *search, int32_t beam);

/* Turn the words that the tokens completed in the step just made into nodes and edges.
 * best: the best token's score, Q.10. */
void st_lattice_advance(st_search_t *search, int32_t best);

/* Best continuation behind each node: behind must hold, for each node, the best score of what follows
 * it directly (INT32_MIN: nothing); the edges' continuations are added. int32 [node_count], Q.10. */
void st_lattice_backward(const st_search_t *search, int32_t *behind);

/* Score of the best path through an edge; behind[edge->to] must not be INT32_MIN. */
static inline int32_t st_lattice_through(const st_node_t *nodes, const st_edge_t *edge, const int32_t *behind) {
    return nodes[edge->from].score + edge->acoustic + edge->language + behind[edge->to];
}

/* Is the edge the one on the best path into its to-node? Of several, the last counts. */
static inline int st_lattice_is_best(const st_node_t *nodes, const st_edge_t *edge) {
    return nodes[edge->from].score + edge->acoustic + edge->language == nodes[edge->to].score;
}

/* Words on the best path to a node. */
uint32_t st_lattice_count_words(const st_search_t *search, uint32_t node);

/* Word indices of the best token's path so far. Returns how many there are; at most capacity of them, the
 * first ones, are written. */
st_status_t st_lattice_partial(const st_search_t *search, uint16_t *words, uint32_t capacity);

/* The same, and none16 behind the last word, where there is room. Returns 1 if anything there was another before:
 * the path's words have changed, if it is a buffer that this function alone has written; else 0. */
int st_lattice_renew(const st_search_t *search, uint16_t *words, uint32_t capacity);

#endif
