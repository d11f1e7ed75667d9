/* neat/neat_checkpoint.h - a population as bytes, and back.
 *
 * A population saved between two generations and loaded again goes on bit for bit like the one that was
 * never interrupted: the state of the random numbers, innovations, species and genomes are all there. The
 * bytes are the same on every machine.
 *
 * Loading trusts nothing: counts are held against the bytes that are left, and every promise of genome.h,
 * innovations.h and population.h is checked before the population exists.
 *
 * Threads: one at a time. */
#ifndef NEAT_NEAT_CHECKPOINT_H
#define NEAT_NEAT_CHECKPOINT_H

#include "base/bytes.h"
#include "neat/population.h"

/* Appends to `out`; buf->failed tells of a shortage. Fitness values are not part of it: a checkpoint is
 * taken before a generation is judged. */
void population_save(const struct population *population, struct buf *out);

/* The caller frees *ret_population. ONNXD_ERR_FORMAT names the part that is wrong; ONNXD_ERR_NOMEM, _LIMIT.
 */
ONNXD_MUST_USE onnxd_status population_load(struct byte_reader *in, uint64_t memory_limit_bytes,
                                            struct population **ret_population, onnxd_error *err);

/* One genome by itself. */
void genome_save(const struct genome *genome, struct buf *out);

/* Reads a genome into the arena, unchecked apart from its sizes: genome_check is the caller's. */
ONNXD_MUST_USE onnxd_status genome_load(struct byte_reader *in, struct arena *arena,
                                        struct genome *ret_genome, onnxd_error *err);

#endif
