#include "bench/random_network.h"

#include "base/error.h"

static bool grow(struct random_network *net, uint32_t n_hidden, struct rng *rng)
{
    bool ok = breed_initial(&net->breeder, rng);
    for (uint32_t i = 0; ok && i < n_hidden; i++)
        ok = breed_add_node(&net->breeder, rng) && breed_add_link(&net->breeder, rng) &&
             breed_add_link(&net->breeder, rng);
    return ok;
}

onnxd_status random_network_init(struct random_network *net, uint32_t n_inputs, uint32_t n_outputs,
                                 uint32_t n_hidden, uint64_t seed, onnxd_error *err)
{
    struct rng rng = rng_seed(seed);
    *net = (struct random_network){.shape = {.n_inputs = n_inputs, .n_outputs = n_outputs}};
    neat_params_default(&net->params);
    innovations_init(&net->innovations, shape_first_hidden(&net->shape));
    breed_init(&net->breeder, &net->params, &net->shape, &net->innovations);
    arena_init(&net->arena, 0);
    arena_init(&net->scratch, 0);
    onnxd_status status = grow(net, n_hidden, &rng)
                              ? network_compile(&net->compiler, &net->breeder.child, &net->shape, &net->arena,
                                                &net->network, err)
                              : error_set(err, ONNXD_ERR_NOMEM, "no memory for a network");
    if (status == ONNXD_OK) {
        net->slots = arena_alloc(&net->arena, net->network.n_slots * sizeof *net->slots);
        if (net->slots == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "no memory for a network");
    }
    if (status == ONNXD_OK)
        network_reset(&net->network, net->slots);
    else
        random_network_done(net);
    return status;
}

void random_network_done(struct random_network *net)
{
    network_compiler_done(&net->compiler);
    breed_done(&net->breeder);
    innovations_done(&net->innovations);
    arena_done(&net->arena);
    arena_done(&net->scratch);
}

void random_network_activate(struct random_network *net, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        net->slots[0][0] = (float)(i & 1023); /* answers depend on the turn */
        network_activate(&net->network, net->slots);
    }
}

onnxd_status random_network_compile(struct random_network *net, uint64_t n, onnxd_error *err)
{
    struct network network;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        arena_reset(&net->scratch);
        status = network_compile(&net->compiler, &net->breeder.child, &net->shape, &net->scratch, &network,
                                 err);
    }
    return status;
}
