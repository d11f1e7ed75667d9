#include "bench/server_split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "load/load_fetch.h"

#define MAX_TEXT_BYTES (64u << 20)

static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    {"nv_inference_request_success", offsetof(struct server_split, requests)},
    {"nv_inference_request_failure", offsetof(struct server_split, failures)},
    {"nv_inference_count", offsetof(struct server_split, rows)},
    {"nv_inference_exec_count", offsetof(struct server_split, runs)},
    {"nv_inference_request_duration_us", offsetof(struct server_split, request_us)},
    {"nv_inference_queue_duration_us", offsetof(struct server_split, queue_us)},
    {"nv_inference_compute_input_duration_us", offsetof(struct server_split, parse_us)},
    {"nv_inference_compute_infer_duration_us", offsetof(struct server_split, run_us)},
    {"nv_inference_compute_output_duration_us", offsetof(struct server_split, write_us)},
    {"onnxd_wakeups_total", offsetof(struct server_split, wakeups)},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

static double *figure(struct server_split *split, size_t i)
{
    return (double *)(void *)((char *)split + figures[i].offset);
}

static void add_line(const char *line, size_t n, struct server_split *into, bool *found)
{
    char value[64];
    const char *space = memrchr(line, ' ', n);
    size_t n_name = 0;
    while (n_name < n && line[n_name] != '{' && line[n_name] != ' ') n_name++;
    if (space == NULL || (size_t)(line + n - space) >= sizeof value) return;
    for (size_t i = 0; i < N_FIGURES; i++) {
        if (strlen(figures[i].name) != n_name || memcmp(line, figures[i].name, n_name) != 0) continue;
        snprintf(value, sizeof value, "%.*s", (int)(line + n - space) - 1, space + 1);
        *figure(into, i) += strtod(value, NULL);
        *found = true;
    }
}

bool server_split_read(const char *text, size_t n, struct server_split *into)
{
    bool found = false;
    for (const char *at = text, *end = text + n; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) stop = end;
        if (stop > at && *at != '#') add_line(at, (size_t)(stop - at), into, &found);
        at = stop + 1;
    }
    return found;
}

onnxd_status server_split_ask(uint16_t port, struct server_split *into, onnxd_error *err)
{
    struct load_url url = {.host = "127.0.0.1", .port = port};
    struct load_options options = {.n_threads = 1};
    struct buf text;
    snprintf(url.authority, sizeof url.authority, "127.0.0.1:%u", port);
    buf_init(&text, MAX_TEXT_BYTES);
    onnxd_status status = load_fetch(&url, HTTP_METHOD_GET, "/metrics", &options, 10 * NS_PER_S, &text, err);
    if (status == ONNXD_OK && !server_split_read(text.data, text.n, into))
        status = error_set(err, ONNXD_ERR_FORMAT, "%s/metrics: no nv_inference figures", url.authority);
    buf_done(&text);
    return status;
}

struct server_split server_split_since(const struct server_split *before, const struct server_split *after)
{
    struct server_split since = *after, copy = *before;
    for (size_t i = 0; i < N_FIGURES; i++) *figure(&since, i) -= *figure(&copy, i);
    return since;
}
