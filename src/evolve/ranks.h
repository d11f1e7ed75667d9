/* evolve/ranks.h - several processes that evolve together, each judging its share of a generation.
 *
 * Every rank runs the same run from the same seed; only judging is divided. After its share each rank gets
 * the others' results, so that all breed the same next generation: the champion is that of one process.
 *
 * The library of the ranks is Open MPI, loaded when asked for: nothing depends on it otherwise.
 * Threads: one at a time. */
#ifndef EVOLVE_RANKS_H
#define EVOLVE_RANKS_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

struct ranks;

/* Joins the ranks that mpirun started; alone it is one of one. ONNXD_ERR_UNSUPPORTED: no libmpi.so.40 (Open
 * MPI) on this machine; ONNXD_ERR_IO: it does not start. */
ONNXD_MUST_USE onnxd_status ranks_join(struct ranks **ret_ranks, onnxd_error *err);
void ranks_leave(struct ranks *ranks); /* takes NULL; waits for the others */

uint32_t ranks_own(const struct ranks *ranks);
uint32_t ranks_count(const struct ranks *ranks);

/* Items first to first + n of n_items are this rank's share. ranks NULL: all of them. */
void ranks_share(const struct ranks *ranks, uint32_t n_items, uint32_t *ret_first, uint32_t *ret_n);

/* Each rank gives its share of items[n_items] and gets the others'. ranks NULL: nothing happens. */
ONNXD_MUST_USE onnxd_status ranks_gather(struct ranks *ranks, void *items, size_t item_bytes,
                                         uint32_t n_items, onnxd_error *err);

#endif
