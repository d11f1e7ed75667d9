/* neat/innovations.h - historical markings: one number for each link and one for each split of a link.
 *
 * The same structural change gets the same number whenever it happens in a run, so that genes of equal
 * innovation in two genomes mean the same link. A genome that splits one link twice (the first split was
 * switched off and the link on again) gets a new node for each turn: the key of a node is (innovation of
 * the link, turn).
 *
 * Ownership: innovations_done frees. Threads: one at a time. */
#ifndef NEAT_INNOVATIONS_H
#define NEAT_INNOVATIONS_H

#include <stdbool.h>
#include <stdint.h>

#define INNOVATION_NONE UINT32_MAX

struct innovation_link {
    uint32_t from;
    uint32_t to;
    bool recurrent;
};

struct innovation_split {
    uint32_t innovation; /* the link that the node split */
    uint32_t turn;       /* 0 for the first time within a genome */
};

struct innovation_table { /* open addressing */
    uint64_t *keys;
    uint32_t *values; /* [capacity], INNOVATION_NONE: empty */
    uint32_t n, capacity;
};

struct innovations {
    struct innovation_link *links; /* [n_links] by innovation */
    uint32_t n_links, links_capacity;
    struct innovation_split *splits; /* [n_splits]; node first_hidden + i */
    uint32_t n_splits, splits_capacity;
    uint32_t first_hidden;
    struct innovation_table link_table, split_table;
};

void innovations_init(struct innovations *in, uint32_t first_hidden);
void innovations_done(struct innovations *in);

static inline uint32_t innovations_n_nodes(const struct innovations *in) /* numbers given so far */
{
    return in->first_hidden + in->n_splits;
}

/* The number of a known link or node, or INNOVATION_NONE. */
uint32_t innovations_find_link(const struct innovations *in, uint32_t from, uint32_t to, bool recurrent);
uint32_t innovations_find_split(const struct innovations *in, uint32_t innovation, uint32_t turn);

/* The number, given anew when the change never happened before. INNOVATION_NONE when memory or the limits
 * of genome.h are exhausted. */
uint32_t innovations_link(struct innovations *in, uint32_t from, uint32_t to, bool recurrent);
uint32_t innovations_split(struct innovations *in, uint32_t innovation, uint32_t turn);

#endif
