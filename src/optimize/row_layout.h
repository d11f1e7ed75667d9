/* optimize/row_layout.h - a value as a list of pieces of other values' rows.
 *
 * Slice, Split, Concat, Reshape and Gather from a constant table only move numbers about. Followed back
 * through them, a row of a value is a list of pieces: columns of some source value, or a row of a table
 * chosen by one column. fuse_assemble.c builds such values in one pass.
 *
 * Private to the passes that use it. Threads: one at a time. */
#ifndef OPTIMIZE_ROW_LAYOUT_H
#define OPTIMIZE_ROW_LAYOUT_H

#include "graph/graph.h"

struct piece {
    uint32_t source; /* value whose row is read */
    uint32_t column; /* first element of it */
    uint32_t table;  /* constant [rows, width] whose row source[column] chooses, or GRAPH_NONE: a copy */
    uint32_t width;  /* elements */
};

struct layout {
    struct piece *pieces;
    uint32_t n;     /* 0: not known */
    uint32_t width; /* elements of a row */
};

#define ROW_LAYOUT_MAX_PIECES 1024

/* Elements of a row (everything behind dimension 0), or 0 when unknown or none. */
uint32_t row_width(const struct value_info *info);

/* Dimension 0 is one batch of rows: a symbol taken once. */
bool has_rows(const struct value_info *info);

/* The layout of a value; every value with rows has at least the trivial one, a copy of itself.
 * n is 0 when the value has no rows or the arena is full. */
struct layout row_layout(const struct graph *graph, uint32_t value, struct arena *arena, uint32_t depth);

#endif
