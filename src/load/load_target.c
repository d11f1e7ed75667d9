#include "load/load_target.h"

#include <string.h>

#include "base/error.h"

static struct load_endpoint *find_endpoint(struct load_endpoints *e, const struct load_url *url)
{
    for (uint32_t i = 0; i < e->n; i++) {
        const struct load_url *known = &e->items[i].url;
        if (strcmp(known->host, url->host) == 0 && known->port == url->port && known->tls == url->tls)
            return &e->items[i];
    }
    return NULL;
}

static onnxd_status add_endpoint(struct load_endpoints *e, const struct load_url *url,
                                 const struct load_options *options, onnxd_error *err)
{
    struct load_endpoint *endpoint = &e->items[e->n];
    *endpoint = (struct load_endpoint){.url = *url};
    onnxd_status status = net_address_tcp(url->host, url->port, &endpoint->address, err);
    if (status == ONNXD_OK && url->tls)
        status = tls_client_context_create(!options->insecure, options->ca_path, &endpoint->tls, err);
    if (status == ONNXD_OK) e->n++;
    return status;
}

onnxd_status load_endpoints_init(struct load_endpoints *ret, const struct load_target *targets,
                                 uint32_t n_targets, const struct load_options *options, onnxd_error *err)
{
    struct load_endpoints e = {.n = 0};
    onnxd_status status = ONNXD_OK;
    if (n_targets == 0 || n_targets > LOAD_MAX_TARGETS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "targets: expected 1..%d", LOAD_MAX_TARGETS);
    for (uint32_t i = 0; i < n_targets && status == ONNXD_OK; i++) {
        const struct load_target *t = &targets[i];
        if (!(t->weight > 0 && t->weight < 1e9)) {
            status = error_set(err, ONNXD_ERR_ARGUMENT, "weight of target %u: expected more than 0", i + 1);
            break;
        }
        if (find_endpoint(&e, &t->url) == NULL) status = add_endpoint(&e, &t->url, options, err);
        if (status != ONNXD_OK) break;
        struct load_endpoint *endpoint = find_endpoint(&e, &t->url);
        endpoint->targets[endpoint->n_targets++] = i;
        endpoint->weight += t->weight;
        e.of_target[i] = (uint32_t)(endpoint - e.items);
    }
    if (status == ONNXD_OK)
        *ret = e;
    else
        load_endpoints_done(&e);
    return status;
}

void load_endpoints_done(struct load_endpoints *endpoints)
{
    for (uint32_t i = 0; i < endpoints->n; i++) tls_context_free(endpoints->items[i].tls);
    endpoints->n = 0;
}

void load_share_connections(const struct load_endpoints *e, uint32_t n_connections, uint32_t *ret_shares)
{
    struct load_mix mix = {.n = 0};
    for (uint32_t i = 0; i < e->n; i++) {
        ret_shares[i] = 1;
        load_mix_add(&mix, i, e->items[i].weight);
    }
    for (uint32_t left = n_connections > e->n ? n_connections - e->n : 0; left > 0; left--) {
        uint32_t i = load_mix_next(&mix);
        ret_shares[i]++;
    }
}

void load_mix_add(struct load_mix *mix, uint32_t member, double weight)
{
    mix->members[mix->n] = member;
    mix->weights[mix->n] = weight;
    mix->credit[mix->n++] = 0;
    mix->sum += weight;
}

/* Everyone earns its weight; the richest goes and pays for all. */
uint32_t load_mix_next(struct load_mix *mix)
{
    if (mix->n == 1) return mix->members[0];
    uint32_t richest = 0;
    for (uint32_t i = 0; i < mix->n; i++) {
        mix->credit[i] += mix->weights[i];
        if (mix->credit[i] > mix->credit[richest]) richest = i;
    }
    mix->credit[richest] -= mix->sum;
    return mix->members[richest];
}
