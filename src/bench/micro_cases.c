#include "bench/micro_cases.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/random_network.h"
#include "stats/histogram.h"

void micro_list_init(struct micro_list *list)
{
    list->n = list->n_ends = 0;
    arena_init(&list->arena, (size_t)1 << 30);
}

void micro_list_done(struct micro_list *list)
{
    while (list->n_ends > 0) {
        list->n_ends--;
        list->ends[list->n_ends].fn(list->ends[list->n_ends].data);
    }
    arena_done(&list->arena);
    list->n = 0;
}

onnxd_status micro_list_add(struct micro_list *list, struct micro_case micro, void (*end)(void *), void *data,
                            onnxd_error *err, const char *name_format, ...)
{
    char name[160];
    va_list args;
    va_start(args, name_format);
    vsnprintf(name, sizeof name, name_format, args);
    va_end(args);
    micro.name = arena_strdup(&list->arena, name);
    if (micro.name == NULL || list->n == MICRO_LIST_MAX || list->n_ends == MICRO_LIST_MAX) {
        if (end != NULL) end(data);
        return error_set(err, ONNXD_ERR_LIMIT, "%s: more than %d cases", name, MICRO_LIST_MAX);
    }
    if (end != NULL) {
        list->ends[list->n_ends].fn = end;
        list->ends[list->n_ends++].data = data;
    }
    list->cases[list->n++] = micro;
    return ONNXD_OK;
}

void micro_list_filter(struct micro_list *list, const char *pattern)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        const char *name = list->cases[i].name;
        bool keeps = strpbrk(pattern, "*?") != NULL ? fnmatch(pattern, name, 0) == 0
                                                    : strstr(name, pattern) != NULL;
        if (keeps) list->cases[n++] = list->cases[i];
    }
    list->n = n;
}

/* ---- clock and histogram ------------------------------------------------------------------------- */

static onnxd_status read_clock(void *context, uint64_t n, onnxd_error *err)
{
    (void)context, (void)err;
    for (uint64_t i = 0; i < n; i++) micro_keep(monotonic_ns());
    return ONNXD_OK;
}

static onnxd_status record(void *context, uint64_t n, onnxd_error *err)
{
    struct histogram *h = context;
    uint64_t value = 88172645463325252ull;
    (void)err;
    for (uint64_t i = 0; i < n; i++) { /* values of three decades, as latencies have them (xorshift) */
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        histogram_record(h, 1000 + (value & 0xfffff));
    }
    return ONNXD_OK;
}

onnxd_status micro_cases_base(struct micro_list *list, onnxd_error *err)
{
    struct histogram *h = calloc(1, sizeof *h);
    if (h == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a histogram");
    onnxd_status status = micro_list_add(list, (struct micro_case){.run = record, .context = h}, free, h, err,
                                         "histogram: record a value");
    if (status == ONNXD_OK)
        status = micro_list_add(list, (struct micro_case){.run = read_clock}, NULL, NULL, err,
                                "clock: read monotonic time");
    return status;
}

/* ---- networks ------------------------------------------------------------------------------------ */

static onnxd_status activate(void *context, uint64_t n, onnxd_error *err)
{
    (void)err;
    random_network_activate(context, n);
    return ONNXD_OK;
}

static onnxd_status compile(void *context, uint64_t n, onnxd_error *err)
{
    return random_network_compile(context, n, err);
}

static void end_network(void *data)
{
    random_network_done(data);
}

onnxd_status micro_cases_networks(struct micro_list *list, onnxd_error *err)
{
    static const uint32_t sizes[][3] = {{2, 1, 0},  {2, 1, 3},   {6, 1, 2},   {16, 3, 0},
                                        {16, 3, 8}, {16, 3, 32}, {64, 8, 64}, {128, 16, 256}};
    onnxd_status status = ONNXD_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && status == ONNXD_OK; i++) {
        struct random_network *net = arena_alloc_zeroed(&list->arena, sizeof *net);
        if (net == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a network");
        status = random_network_init(net, sizes[i][0], sizes[i][1], sizes[i][2], 1, err);
        if (status != ONNXD_OK) return status;
        uint32_t n_hidden = net->network.n_nodes - sizes[i][1], n_links = net->network.n_links;
        struct micro_case forward = {.run = activate, .context = net, .units = 4, .unit = "rows"};
        status = micro_list_add(list, forward, end_network, net, err,
                                "network: forward 4 rows, %u-%u-%u, %u links", sizes[i][0], n_hidden,
                                sizes[i][1], n_links);
        if (status == ONNXD_OK && i % 3 == 2)
            status = micro_list_add(list, (struct micro_case){.run = compile, .context = net}, NULL, NULL,
                                    err, "network: compile, %u-%u-%u, %u links", sizes[i][0], n_hidden,
                                    sizes[i][1], n_links);
    }
    return status;
}
