/* evolve/policy_levels.h - the depth of each node of a compiled network, for export and drawing.
 *
 * Threads: pure. */
#ifndef EVOLVE_POLICY_LEVELS_H
#define EVOLVE_POLICY_LEVELS_H

#include "neat/network.h"

/* ret_level: [n_nodes], from 1: one more than the deepest source of a forward link. Returns the largest. */
uint32_t network_levels(const struct network *network, uint32_t *ret_level);

#endif
