#include "ops/loops.h"

#include <string.h>

#include "tensor/shape.h"

void loops_init(struct loops *loops, const int64_t *dims, uint32_t rank, uint32_t n_operands)
{
    memset(loops, 0, sizeof *loops);
    loops->rank = rank;
    loops->n_operands = n_operands;
    if (rank > 0) memcpy(loops->dims, dims, rank * sizeof *dims);
}

void loops_broadcast(struct loops *loops, uint32_t k, const int64_t *dims, uint32_t rank)
{
    shape_broadcast_strides(dims, rank, loops->rank, loops->strides[k]);
}

static void copy_loop(struct loops *loops, uint32_t to, uint32_t from)
{
    loops->dims[to] = loops->dims[from];
    for (uint32_t k = 0; k < loops->n_operands; k++) loops->strides[k][to] = loops->strides[k][from];
}

static bool joins(const struct loops *loops, uint32_t outer, uint32_t inner)
{
    for (uint32_t k = 0; k < loops->n_operands; k++)
        if (loops->strides[k][outer] != loops->strides[k][inner] * loops->dims[inner]) return false;
    return true;
}

void loops_simplify(struct loops *loops)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < loops->rank; i++) {
        if (loops->dims[i] == 1) continue;
        if (n > 0 && joins(loops, n - 1, i)) {
            int64_t outer = loops->dims[n - 1];
            copy_loop(loops, n - 1, i);
            loops->dims[n - 1] *= outer;
        } else {
            copy_loop(loops, n++, i);
        }
    }
    if (n == 0) { /* one element */
        loops->dims[0] = 1;
        for (uint32_t k = 0; k < loops->n_operands; k++) loops->strides[k][0] = 1;
        n = 1;
    }
    loops->rank = n;
}

void loops_start(const struct loops *loops, struct loops_cursor *c)
{
    memset(c->index, 0, sizeof c->index);
    memset(c->offset, 0, sizeof c->offset);
    c->more = true;
    for (uint32_t i = 0; i < loops->rank; i++) c->more = c->more && loops->dims[i] > 0;
}

void loops_next(const struct loops *loops, struct loops_cursor *c)
{
    for (uint32_t i = loops->rank - 1; i-- > 0;) {
        c->index[i]++;
        for (uint32_t k = 0; k < loops->n_operands; k++) c->offset[k] += loops->strides[k][i];
        if (c->index[i] < loops->dims[i]) return;
        for (uint32_t k = 0; k < loops->n_operands; k++)
            c->offset[k] -= loops->strides[k][i] * loops->dims[i];
        c->index[i] = 0;
    }
    c->more = false;
}

/* ---- copying -------------------------------------------------------------------------------------- */

struct bytes16 {
    uint64_t low, high;
};

#define COPY_LOOP(type)                                                            \
    do {                                                                           \
        type *t = to;                                                              \
        const type *f = from;                                                      \
        if (from_stride == 0)                                                      \
            for (int64_t i = 0; i < n; i++) t[i * to_stride] = f[0];               \
        else if (to_stride == 1)                                                   \
            for (int64_t i = 0; i < n; i++) t[i] = f[i * from_stride];             \
        else                                                                       \
            for (int64_t i = 0; i < n; i++) t[i * to_stride] = f[i * from_stride]; \
    } while (0)

static void copy_run(size_t size, void *to, int64_t to_stride, const void *from, int64_t from_stride,
                     int64_t n)
{
    if (to_stride == 1 && from_stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1: COPY_LOOP(uint8_t); break;
    case 2: COPY_LOOP(uint16_t); break;
    case 4: COPY_LOOP(uint32_t); break;
    case 8: COPY_LOOP(uint64_t); break;
    default: COPY_LOOP(struct bytes16); break;
    }
}

/* The two innermost loops exchange rows and columns of large matrices: square tiles keep both in cache. */
static bool exchanges(const struct loops *loops)
{
    uint32_t r = loops->rank;
    return r >= 2 && loops->strides[1][r - 2] == 1 && loops->strides[0][r - 1] == 1 &&
           loops->dims[r - 2] >= 8 && loops->dims[r - 1] >= 8;
}

static void copy_exchanging(const struct loops *loops, size_t size, char *to, const char *from)
{
    enum { TILE = 16 };
    uint32_t r = loops->rank;
    int64_t rows = loops->dims[r - 2], columns = loops->dims[r - 1], bytes = (int64_t)size;
    int64_t to_row = loops->strides[0][r - 2], from_column = loops->strides[1][r - 1];
    for (int64_t i = 0; i < rows; i += TILE)
        for (int64_t j = 0; j < columns; j += TILE) {
            int64_t m = rows - i < TILE ? rows - i : TILE, n = columns - j < TILE ? columns - j : TILE;
            for (int64_t k = i; k < i + m; k++)
                copy_run(size, to + (k * to_row + j) * bytes, 1, from + (k + j * from_column) * bytes,
                         from_column, n);
        }
}

void loops_copy(const struct loops *loops, size_t size, void *to, const void *from)
{
    struct loops_cursor c;
    if (exchanges(loops)) {
        struct loops outer = *loops;
        outer.rank--; /* so that the cursor walks all but the two innermost */
        for (loops_start(&outer, &c); c.more; loops_next(&outer, &c))
            copy_exchanging(loops, size, (char *)to + c.offset[0] * (int64_t)size,
                            (const char *)from + c.offset[1] * (int64_t)size);
        return;
    }
    for (loops_start(loops, &c); c.more; loops_next(loops, &c))
        copy_run(size, (char *)to + c.offset[0] * (int64_t)size, loops_inner_stride(loops, 0),
                 (const char *)from + c.offset[1] * (int64_t)size, loops_inner_stride(loops, 1),
                 loops_inner(loops));
}
