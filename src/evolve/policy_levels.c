#include "evolve/policy_levels.h"

uint32_t network_levels(const struct network *network, uint32_t *ret_level)
{
    uint32_t first_slot = network->n_inputs + 1, deepest = 0, link = 0;
    for (uint32_t i = 0; i < network->n_nodes; i++) {
        ret_level[i] = 1;
        for (; link < network->nodes[i].end_link; link++) {
            uint32_t source = network->links[link].source;
            if (source < first_slot || source >= first_slot + network->n_nodes) continue;
            if (ret_level[source - first_slot] >= ret_level[i])
                ret_level[i] = ret_level[source - first_slot] + 1;
        }
        if (ret_level[i] > deepest) deepest = ret_level[i];
    }
    return deepest;
}
