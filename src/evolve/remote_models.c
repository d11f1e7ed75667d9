#include "evolve/remote_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "evolve/policy.h"
#include "protocol/base64.h"

enum {
    REQUESTS_AT_ONCE = 32, /* a server lets only some repository requests wait */
    MAX_BODY = 64 << 20,
    PATH_BYTES = 96
};

void remote_models_init(struct remote_models *models, struct remote_link *link)
{
    *models = (struct remote_models){.link = link};
    buf_init(&models->body, MAX_BODY);
}

void remote_models_done(struct remote_models *models)
{
    free(models->loaded);
    buf_done(&models->body);
}

/* ---- what the server spent ---------------------------------------------------------------------------- */

/* Sums a family of Prometheus text over its series: a server may count many models as one. */
static onnxd_status on_metrics(void *context, uint32_t item, const struct http_client_response *response,
                               onnxd_error *err)
{
    static const char FAMILY[] = "nv_inference_compute_infer_duration_us{";
    uint64_t *ret_us = context;
    const char *line = response->body.p, *end = line + response->body.n;
    double us = 0;
    (void)item;
    (void)err;
    while (line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) break; /* a whole text ends with one */
        const char *value = memrchr(line, ' ', (size_t)(next - line));
        if (value != NULL && strncmp(line, FAMILY, sizeof FAMILY - 1) == 0) us += strtod(value, NULL);
        line = next + 1;
    }
    *ret_us = us > 0 && us < 1e18 ? (uint64_t)us : 0;
    return ONNXD_OK;
}

/* The server's time in runs, of the models that it has now. */
static onnxd_status read_compute(struct remote_models *m, uint64_t *ret_us, onnxd_error *err)
{
    const struct http_client_request http = {.method = HTTP_METHOD_GET, .path = "/metrics"};
    onnxd_status status = remote_link_queue(m->link, 0, &http, on_metrics, ret_us, 0, err);
    return status == ONNXD_OK ? remote_link_exchange(m->link, err) : status;
}

/* Adds what was spent since the last look. */
static onnxd_status count_compute(struct remote_models *m, onnxd_error *err)
{
    uint64_t us = 0;
    onnxd_status status = read_compute(m, &us, err);
    if (status != ONNXD_OK) return status;
    if (us > m->seen_us) m->compute_ns += (us - m->seen_us) * 1000;
    m->seen_us = us;
    return ONNXD_OK;
}

/* ---- loading and unloading ---------------------------------------------------------------------------- */

static bool is_in(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static bool wants(const struct genome *const *genomes, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (genomes[i]->id == id) return true;
    return false;
}

static onnxd_status remember(struct remote_models *m, uint64_t id, onnxd_error *err)
{
    if (m->n_loaded == m->capacity) {
        uint32_t capacity = m->capacity == 0 ? 256 : m->capacity * 2;
        uint64_t *grown = realloc(m->loaded, capacity * sizeof *grown);
        if (grown == NULL) return error_set(err, ONNXD_ERR_NOMEM, "remote: no memory");
        m->loaded = grown;
        m->capacity = capacity;
    }
    m->loaded[m->n_loaded++] = id;
    return ONNXD_OK;
}

static onnxd_status queue_load(struct remote_models *m, uint32_t number, const struct genome *genome,
                               const struct genome_shape *shape, onnxd_error *err)
{
    struct policy policy = {.genome = *genome, .shape = *shape, .task = "arena"};
    struct buf model;
    char path[PATH_BYTES];
    buf_init(&model, MAX_BODY);
    onnxd_status status = policy_to_onnx(&policy, &model, err);
    if (status == ONNXD_OK) {
        buf_reset(&m->body);
        buf_append_text(&m->body, "{\"parameters\":{\"file:1/model.onnx\":\"");
        base64_append(&m->body, model.data, model.n);
        buf_append_text(&m->body, "\"}}");
        if (m->body.failed) status = error_set(err, ONNXD_ERR_NOMEM, "remote: no memory for a model");
    }
    buf_done(&model);
    if (status == ONNXD_OK) {
        snprintf(path, sizeof path, "/v2/repository/models/g%llu/load", (unsigned long long)genome->id);
        const struct http_client_request http = {
            .method = HTTP_METHOD_POST, .path = path, .body = m->body.data, .n_body = m->body.n};
        status = remote_link_queue(m->link, number, &http, NULL, NULL, 0, err);
    }
    if (status == ONNXD_OK) status = remember(m, genome->id, err);
    if (status == ONNXD_OK) m->n_loads++;
    return status;
}

static onnxd_status queue_unload(struct remote_models *m, uint32_t number, uint64_t id, onnxd_error *err)
{
    char path[PATH_BYTES];
    const struct http_client_request http = {
        .method = HTTP_METHOD_POST, .path = path, .body = "{}", .n_body = 2};
    snprintf(path, sizeof path, "/v2/repository/models/g%llu/unload", (unsigned long long)id);
    return remote_link_queue(m->link, number, &http, NULL, NULL, 0, err);
}

/* Unloads every model that is not among the n genomes. */
static onnxd_status unload_others(struct remote_models *m, const struct genome *const *genomes, uint32_t n,
                                  onnxd_error *err)
{
    uint32_t n_kept = 0, n_sent = 0;
    onnxd_status status = m->n_loaded > 0 ? count_compute(m, err) : ONNXD_OK;
    for (uint32_t i = 0; i < m->n_loaded && status == ONNXD_OK; i++) {
        if (wants(genomes, n, m->loaded[i])) {
            m->loaded[n_kept++] = m->loaded[i];
            continue;
        }
        status = queue_unload(m, n_sent++, m->loaded[i], err);
        if (status == ONNXD_OK && n_sent % REQUESTS_AT_ONCE == 0) status = remote_link_exchange(m->link, err);
    }
    if (status != ONNXD_OK) return status;
    m->n_loaded = n_kept;
    status = remote_link_exchange(m->link, err);
    return status == ONNXD_OK && n_sent > 0 ? read_compute(m, &m->seen_us, err) : status;
}

onnxd_status remote_models_unload(struct remote_models *models, onnxd_error *err)
{
    return unload_others(models, NULL, 0, err);
}

onnxd_status remote_models_load(struct remote_models *models, const struct genome *const *genomes, uint32_t n,
                                const struct genome_shape *shape, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    uint32_t n_sent = 0;
    if (models->n_loads == 0) status = read_compute(models, &models->seen_us, err);
    if (status == ONNXD_OK && models->n_loaded + n > REMOTE_KEPT_MODELS)
        status = unload_others(models, genomes, n, err);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        if (is_in(models->loaded, models->n_loaded, genomes[i]->id)) continue;
        status = queue_load(models, i, genomes[i], shape, err);
        if (status == ONNXD_OK && ++n_sent % REQUESTS_AT_ONCE == 0)
            status = remote_link_exchange(models->link, err);
    }
    return status == ONNXD_OK ? remote_link_exchange(models->link, err) : status;
}
