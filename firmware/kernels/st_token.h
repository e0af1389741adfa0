/* The token table of the step being built: recombination, the cap, and lists of entries. */
#ifndef ST_TOKEN_H
#define ST_TOKEN_H

#include "st_search.h"

/* Does entry a come before b? */
int st_entry_better(const st_entry_t *a, const st_entry_t *b);

/* Put an entry into its place in a token's list of at most limit entries; the last may fall off. */
void st_entry_insert(st_token_t *token, uint32_t limit, const st_entry_t *entry);

/* Take entry index out of a token's list. */
void st_entry_remove(st_token_t *token, uint32_t index);

/* Do two lattice nodes stand for the same (graph state, context, bias)? */
static inline int st_same_class(const st_node_t *nodes, uint32_t a, uint32_t b) {
    return a == b || (nodes[a].state == nodes[b].state && nodes[a].context == nodes[b].context &&
                      nodes[a].bias == nodes[b].bias);
}

/* The table being built. */
typedef struct {
    const st_search_t *search;
    const st_node_t *nodes;
    uint16_t *hash;
    uint8_t *table;
    uint32_t token_bytes;
    uint32_t count;
    int32_t best;   /* score */
    int32_t floor;  /* best - beam: what lies below is not kept */
    uint32_t worst; /* its last token in order, while worst_known */
    int worst_known;
    int32_t dropped;
} st_token_table_t;

/* How a path goes on: where to, and what it adds. */
typedef struct {
    uint16_t state;
    uint16_t context;
    uint16_t word;
    uint16_t step;    /* the step's index for an arc, none16 for the blank */
    uint16_t bias;
    int32_t acoustic;
    int32_t language;
    int32_t doubt;    /* what the best of all moves, allowed or not, would have gained more; 0 before the first unit */
} st_move_t;

/* Start an empty table in memory that holds max_tokens tokens. */
void st_token_table_start(st_token_table_t *table, const st_search_t *search, uint8_t *memory);

/* Follow a move from a token of the table before. */
void st_token_table_relax(st_token_table_t *table, const st_token_t *source, const st_move_t *move);

#endif
