/* The finished word lattice, as layout.lattice of the spec. */
#ifndef ST_LATTICE_WRITE_H
#define ST_LATTICE_WRITE_H

#include "st_search.h"

/* Write the lattice of the utterance so far; the search is not disturbed and may go on.
 *
 * Sentences end on tokens in final graph states (flag `complete`); without any, on every live token,
 * and words in progress are left out. Each way to end is an edge without a word (none16) from the node
 * of the last word to the one end node, whose time is now: it holds the scores since that word. Edges
 * whose best path is worse than the best of all by more than the lattice beam are left out. A lattice of more
 * than budget bytes (0: than its buffer's) is made with the widest beam of k 64ths of that, 0 <= k < 64, that
 * keeps to the budget, and marked truncated if that left anything out. The best path, and what scores the same, is kept in any case.
 * Nodes, edges, words and strings are sorted: nodes by time, edges by to-node, words and strings by
 * their index in the graph; no two words or strings are the same row of the graph.
 *
 * Args: out, capacity: any alignment; revision: low 16 bits, plus ST_REVISION_SPECULATIVE.
 * Returns: bytes written, or -ST_ERROR_BUFFER_SMALL (not even the best path fits the buffer), -ST_ERROR_STATE
 *   (another graph). */
st_status_t st_lattice_write(st_search_t *search, const st_graph_t *graph, uint8_t *out, uint32_t capacity,
                             uint32_t utterance, uint32_t revision, uint32_t budget);

#endif
