#include "neat/innovations.h"

#include <stdlib.h>
#include <string.h>

#include "neat/genome.h"

void innovations_init(struct innovations *in, uint32_t first_hidden)
{
    *in = (struct innovations){.first_hidden = first_hidden};
}

void innovations_done(struct innovations *in)
{
    free(in->links);
    free(in->splits);
    free(in->link_table.keys);
    free(in->link_table.values);
    free(in->split_table.keys);
    free(in->split_table.values);
    innovations_init(in, in->first_hidden);
}

static uint64_t link_key(uint32_t from, uint32_t to, bool recurrent)
{
    return (uint64_t)from << 32 | (uint64_t)to << 1 | recurrent;
}

static uint64_t split_key(uint32_t innovation, uint32_t turn)
{
    return (uint64_t)innovation << 32 | turn;
}

static uint32_t slot_of(const struct innovation_table *table, uint64_t key)
{
    uint32_t slot = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & (table->capacity - 1);
    while (table->values[slot] != INNOVATION_NONE && table->keys[slot] != key)
        slot = (slot + 1) & (table->capacity - 1);
    return slot;
}

static uint32_t table_get(const struct innovation_table *table, uint64_t key)
{
    return table->capacity == 0 ? INNOVATION_NONE : table->values[slot_of(table, key)];
}

static bool table_grow(struct innovation_table *table)
{
    struct innovation_table grown = {.n = table->n,
                                     .capacity = table->capacity == 0 ? 64 : table->capacity * 2};
    grown.keys = malloc(grown.capacity * sizeof *grown.keys);
    grown.values = malloc(grown.capacity * sizeof *grown.values);
    if (grown.keys == NULL || grown.values == NULL) {
        free(grown.keys);
        free(grown.values);
        return false;
    }
    memset(grown.values, 0xff, grown.capacity * sizeof *grown.values);
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->values[i] == INNOVATION_NONE) continue;
        uint32_t slot = slot_of(&grown, table->keys[i]);
        grown.keys[slot] = table->keys[i];
        grown.values[slot] = table->values[i];
    }
    free(table->keys);
    free(table->values);
    *table = grown;
    return true;
}

static bool table_put(struct innovation_table *table, uint64_t key, uint32_t value)
{
    if (2 * (table->n + 1) > table->capacity && !table_grow(table)) return false;
    uint32_t slot = slot_of(table, key);
    table->keys[slot] = key;
    table->values[slot] = value;
    table->n++;
    return true;
}

/* Room for one more element of `size` bytes. */
static bool reserve_one(void **array, uint32_t n, uint32_t *capacity, size_t size)
{
    if (n < *capacity) return true;
    uint32_t more = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(*array, more * size);
    if (grown == NULL) return false;
    *array = grown;
    *capacity = more;
    return true;
}

uint32_t innovations_find_link(const struct innovations *in, uint32_t from, uint32_t to, bool recurrent)
{
    return table_get(&in->link_table, link_key(from, to, recurrent));
}

uint32_t innovations_find_split(const struct innovations *in, uint32_t innovation, uint32_t turn)
{
    return table_get(&in->split_table, split_key(innovation, turn));
}

uint32_t innovations_link(struct innovations *in, uint32_t from, uint32_t to, bool recurrent)
{
    uint64_t key = link_key(from, to, recurrent);
    uint32_t known = table_get(&in->link_table, key);
    if (known != INNOVATION_NONE) return known;
    void *links = in->links;
    bool room = in->n_links < GENOME_MAX_GENES &&
                reserve_one(&links, in->n_links, &in->links_capacity, sizeof *in->links);
    in->links = links;
    if (!room || !table_put(&in->link_table, key, in->n_links)) return INNOVATION_NONE;
    in->links[in->n_links] = (struct innovation_link){.from = from, .to = to, .recurrent = recurrent};
    return in->n_links++;
}

uint32_t innovations_split(struct innovations *in, uint32_t innovation, uint32_t turn)
{
    uint64_t key = split_key(innovation, turn);
    uint32_t known = table_get(&in->split_table, key);
    if (known != INNOVATION_NONE) return known;
    uint32_t node = innovations_n_nodes(in);
    void *splits = in->splits;
    bool room = node <= GENOME_MAX_NODE &&
                reserve_one(&splits, in->n_splits, &in->splits_capacity, sizeof *in->splits);
    in->splits = splits;
    if (!room || !table_put(&in->split_table, key, node)) return INNOVATION_NONE;
    in->splits[in->n_splits++] = (struct innovation_split){.innovation = innovation, .turn = turn};
    return node;
}
