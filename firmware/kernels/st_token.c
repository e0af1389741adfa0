#include "st_token.h"

#define NONE (ST_LIMITS_NONE16)

ST_HOT int st_entry_better(const st_entry_t *a, const st_entry_t *b) {
    if (a->score != b->score) {
        return a->score > b->score;
    }
    if (a->node != b->node) {
        return a->node < b->node;
    }
    if (a->word != b->word) {
        return a->word < b->word;
    }
    return a->language != b->language ? a->language > b->language : a->first < b->first;
}

ST_HOT void st_entry_insert(st_token_t *token, uint32_t limit, const st_entry_t *entry) {
    st_entry_t *entries = st_token_entries(token);
    uint32_t at = token->count;
    if (at == limit) {
        if (!st_entry_better(entry, &entries[limit - 1])) {
            return;
        }
        at--;
    } else {
        token->count++;
    }
    while (at > 0 && st_entry_better(entry, &entries[at - 1])) {
        entries[at] = entries[at - 1];
        at--;
    }
    entries[at] = *entry;
}

ST_HOT void st_entry_remove(st_token_t *token, uint32_t index) {
    st_entry_t *entries = st_token_entries(token);
    token->count--;
    for (uint32_t i = index; i < token->count; i++) {
        entries[i] = entries[i + 1];
    }
}

/* Recombine: of two paths that end with the same word (or none) and started it from the same
 * (state, context, bias), only the better stays. */
ST_HOT static void merge_entry(const st_token_table_t *table, st_token_t *token, const st_entry_t *entry) {
    st_entry_t *entries = st_token_entries(token);
    for (uint32_t i = 0; i < token->count; i++) {
        if (entries[i].word == entry->word && st_same_class(table->nodes, entries[i].node, entry->node)) {
            if (!st_entry_better(entry, &entries[i])) {
                return;
            }
            st_entry_remove(token, i);
            break;
        }
    }
    st_entry_insert(token, table->search->max_alternatives, entry);
}

static st_token_t *token_at(const st_token_table_t *table, uint32_t index) {
    return (st_token_t *)(table->table + index * table->token_bytes);
}

static uint16_t *bucket_of(const st_token_table_t *table, const st_token_t *token) {
    uint32_t state = token->state;
    uint32_t context = token->context;
    uint32_t hash = state ^ (state >> 7) ^ (context << 2) ^ (context >> 5) ^ token->bias;
    return &table->hash[hash & table->search->hash_mask];
}

ST_HOT void st_token_table_start(st_token_table_t *table, const st_search_t *search, uint8_t *memory) {
    table->search = search;
    table->nodes = st_search_nodes(search);
    table->hash = (uint16_t *)st_search_at(search, search->hash);
    table->table = memory;
    table->token_bytes = search->token_bytes;
    table->count = 0;
    table->best = INT32_MIN;
    table->floor = INT32_MIN;
    table->worst = 0;
    table->worst_known = 0;
    table->dropped = 0;
    memset(table->hash, 0xff, (search->hash_mask + 1u) * sizeof(uint16_t));
}

static void find_worst(st_token_table_t *table) {
    if (table->worst_known) {
        return;
    }
    table->worst = 0;
    for (uint32_t i = 1; i < table->count; i++) {
        if (st_token_better(token_at(table, table->worst), token_at(table, i))) {
            table->worst = i;
        }
    }
    table->worst_known = 1;
}

/* Take a token out of its bucket's chain; its slot is about to be reused. */
static void unlink_token(st_token_table_t *table, uint32_t index) {
    const st_token_t *token = token_at(table, index);
    uint16_t *link = bucket_of(table, token);
    while (*link != index) {
        link = &token_at(table, *link)->next;
    }
    *link = token->next;
}

/* A slot for a new token, or NULL when the table is full of better ones. */
ST_HOT static st_token_t *new_token(st_token_table_t *table, const st_token_t *wanted) {
    uint32_t index = table->count;
    if (index < table->search->max_tokens) {
        table->count++;
    } else {
        find_worst(table);
        table->dropped++;
        if (!st_token_better(wanted, token_at(table, table->worst))) {
            return NULL;
        }
        index = table->worst;
        unlink_token(table, index);
    }
    table->worst_known = 0;
    st_token_t *token = token_at(table, index);
    uint16_t *bucket = bucket_of(table, wanted);
    *token = *wanted;
    token->next = *bucket;
    *bucket = (uint16_t)index;
    return token;
}

/* The token for (state, context, bias), made if need be, with its path figures brought up to date. */
ST_HOT static st_token_t *reach(st_token_table_t *table, const st_token_t *wanted) {
    uint32_t index = *bucket_of(table, wanted);
    while (index != NONE) {
        st_token_t *token = token_at(table, index);
        if (token->state == wanted->state && token->context == wanted->context && token->bias == wanted->bias) {
            if (wanted->score > token->score) {
                token->score = wanted->score;
                token->last = wanted->last;
                token->units = wanted->units;
                token->doubt = wanted->doubt;
                if (index == table->worst) {
                    table->worst_known = 0;
                }
            }
            return token;
        }
        index = token->next;
    }
    return new_token(table, wanted);
}

ST_HOT void st_token_table_relax(st_token_table_t *table, const st_token_t *source, const st_move_t *move) {
    int32_t gain = move->acoustic + move->language;
    int emits = move->step != NONE;
    st_token_t wanted = {source->score + gain, move->state,   move->context, NONE,
                         source->last,         source->units, 0,             (uint8_t)move->bias,
                         source->doubt + move->doubt};
    if (wanted.score < table->floor) {
        return;
    }
    if (emits) {
        wanted.last = (uint16_t)(move->step + 1);
        wanted.units++;
    }
    st_token_t *token = reach(table, &wanted);
    if (token == NULL) {
        return;
    }
    if (wanted.score > table->best) {
        table->best = wanted.score;
        table->floor = table->best - table->search->beam;
    }
    const st_entry_t *entries = st_token_entries(source);
    for (uint32_t i = 0; i < source->count; i++) {
        st_entry_t entry = entries[i];
        entry.word = move->word;
        entry.score += gain;
        entry.language += move->language;
        if (emits && entry.first == NONE) {
            entry.first = move->step;
        }
        merge_entry(table, token, &entry);
    }
}
