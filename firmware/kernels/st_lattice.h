/* The lattice under construction: nodes and edges while the search runs.
 *
 * A node stands for (graph state, context, step): a token that crossed an arc with a word. Its
 * edges are the words that ended there, one for each (entry, word) that reached the token in that
 * step. When at most an eighth of a table would be left free, what no live token can reach backwards is
 * collected; when that does not help, the paths farthest from the best one go, by a beam that is
 * halved until there is room, and the lattice is marked truncated. Should even the paths that tie
 * with the best fill a table, further words are left out (truncated, too). */
#ifndef ST_LATTICE_H
#define ST_LATTICE_H

#include "st_search.h"

/* Scratch that this file and st_lattice_write.c need, in bytes. */
uint32_t st_lattice_scratch_bytes(uint32_t max_nodes, uint32_t max_edges);

/* Turn the words that the tokens completed in the step just made into nodes and edges.
 * best: the best token's score. */
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

/* Word indices of the best token's path so far. Returns how many there are; at most capacity of them, the
 * first ones, are written. */
st_status_t st_lattice_partial(const st_search_t *search, uint16_t *words, uint32_t capacity);

#endif
