/* load/load_target.h - where requests go, and how often.
 *
 * A target is a URL with its requests. Targets of one server (scheme, host and port) share its connections
 * and are mixed request by request in proportion to their weights. Between servers an open loop shares out
 * the requests, a closed loop the connections, since there a slow server's connections are busy longer.
 *
 * Threads: read by any while a load runs. */
#ifndef LOAD_LOAD_TARGET_H
#define LOAD_LOAD_TARGET_H

#include "load/load_corpus.h"
#include "load/load_result.h"
#include "net/net_socket.h"
#include "net/tls.h"

struct load_target {
    struct load_url url;
    struct load_corpus corpus;
    double weight; /* above 0 */
};

/* ---- servers ---- */

struct load_endpoint {
    struct load_url url; /* of its first target */
    struct net_address address;
    struct tls_context *tls; /* NULL: http */
    uint32_t targets[LOAD_MAX_TARGETS], n_targets;
    double weight; /* the sum of its targets' */
};

struct load_endpoints {
    struct load_endpoint items[LOAD_MAX_TARGETS];
    uint32_t n;
    uint32_t of_target[LOAD_MAX_TARGETS]; /* the number of a target's endpoint */
};

/* Groups the targets and finds their addresses. ONNXD_ERR_ARGUMENT (number, weights), ONNXD_ERR_NOT_FOUND
 * (host), ONNXD_ERR_FORMAT (certificates). */
ONNXD_MUST_USE onnxd_status load_endpoints_init(struct load_endpoints *endpoints,
                                                const struct load_target *targets, uint32_t n_targets,
                                                const struct load_options *options, onnxd_error *err);
void load_endpoints_done(struct load_endpoints *endpoints);

/* How many of n_connections, at least one for each, an endpoint gets: shares in proportion to the weights. */
void load_share_connections(const struct load_endpoints *endpoints, uint32_t n_connections,
                            uint32_t *ret_shares);

/* ---- taking turns ---- */

struct load_mix { /* spreads its members evenly: 3:1 is a a b a, not a a a b */
    uint32_t members[LOAD_MAX_TARGETS], n;
    double weights[LOAD_MAX_TARGETS], credit[LOAD_MAX_TARGETS], sum;
};

void load_mix_add(struct load_mix *mix, uint32_t member, double weight);
uint32_t load_mix_next(struct load_mix *mix); /* n > 0 */

#endif
