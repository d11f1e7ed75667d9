/* Walking packed trees. Eight rows (or trees) go in step, so that their loads overlap: a walk is a chain of
 * dependent loads, and one alone leaves the core idle. */
#include "ops/tree_ensemble.h"

#include <math.h>

enum { LANES = 8 };

static inline bool compare_f64(enum tree_mode mode, double x, double value)
{
    switch (mode) {
    case TREE_LEQ: return x <= value;
    case TREE_LT: return x < value;
    case TREE_GTE: return x >= value;
    case TREE_GT: return x > value;
    case TREE_EQ: return x == value;
    case TREE_NEQ: return x != value;
    case TREE_LEAF: return true;
    }
    return true;
}

/* Any mode, missing values tracked. */
static uint32_t walk_any(const struct tree_ensemble *e, uint32_t at, const float *x)
{
    while (e->modes[at] != TREE_LEAF) {
        const struct tree_node *node = &e->nodes[at];
        float v = x[node->feature & ~TREE_MISSING_TRUE];
        bool go = compare_f64((enum tree_mode)e->modes[at], (double)v, (double)node->value) ||
                  ((node->feature & TREE_MISSING_TRUE) != 0 && isnan(v));
        at = node->child[go];
    }
    return at;
}

uint32_t tree_walk_f64(const struct tree_ensemble *e, uint32_t at, const double *x)
{
    while (e->modes[at] != TREE_LEAF) {
        const struct tree_node *node = &e->nodes[at];
        double v = x[node->feature & ~TREE_MISSING_TRUE];
        double value = e->values != NULL ? e->values[at] : (double)node->value;
        bool go = compare_f64((enum tree_mode)e->modes[at], v, value) ||
                  ((node->feature & TREE_MISSING_TRUE) != 0 && isnan(v));
        at = node->child[go];
    }
    return at;
}

/* LANES walks in step, each reading its own row x[i] from its own start at[i]; ends when none has moved. */
#define DEFINE_WALK(name, op)                                                              \
    static inline void name(const struct tree_node *restrict nodes, const float *const *x, \
                            uint32_t *restrict at)                                         \
    {                                                                                      \
        uint32_t moved;                                                                    \
        do {                                                                               \
            moved = 0;                                                                     \
            for (int i = 0; i < LANES; i++) {                                              \
                const struct tree_node *node = &nodes[at[i]];                              \
                uint32_t next = node->child[x[i][node->feature] op node->value];           \
                moved |= next ^ at[i];                                                     \
                at[i] = next;                                                              \
            }                                                                              \
        } while (moved != 0);                                                              \
    }

DEFINE_WALK(walk_leq, <=)
DEFINE_WALK(walk_lt, <)
DEFINE_WALK(walk_gte, >=)
DEFINE_WALK(walk_gt, >)
DEFINE_WALK(walk_eq, ==)
DEFINE_WALK(walk_neq, !=)

static void walk_lanes(const struct tree_ensemble *e, const float *const *x, uint32_t *at)
{
    if (!e->same_mode) {
        for (int i = 0; i < LANES; i++) at[i] = walk_any(e, at[i], x[i]);
        return;
    }
    switch (e->mode) {
    case TREE_LEQ: walk_leq(e->nodes, x, at); return;
    case TREE_LT: walk_lt(e->nodes, x, at); return;
    case TREE_GTE: walk_gte(e->nodes, x, at); return;
    case TREE_GT: walk_gt(e->nodes, x, at); return;
    case TREE_EQ: walk_eq(e->nodes, x, at); return;
    case TREE_NEQ: walk_neq(e->nodes, x, at); return;
    case TREE_LEAF: return; /* trees of one leaf */
    }
}

void tree_walk_rows(const struct tree_ensemble *e, uint32_t root, const float *x, size_t stride, size_t n,
                    uint32_t *leaves)
{
    const float *rows[LANES];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            rows[k] = x + (i + k) * stride;
            leaves[i + k] = root;
        }
        walk_lanes(e, rows, leaves + i);
    }
    for (; i < n; i++) leaves[i] = walk_any(e, root, x + i * stride);
}

void tree_walk_trees(const struct tree_ensemble *e, const uint32_t *roots, size_t n, const float *x,
                     uint32_t *leaves)
{
    const float *rows[LANES];
    size_t i = 0;
    for (size_t k = 0; k < LANES; k++) rows[k] = x;
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) leaves[i + k] = roots[i + k];
        walk_lanes(e, rows, leaves + i);
    }
    for (; i < n; i++) leaves[i] = walk_any(e, roots[i], x);
}
