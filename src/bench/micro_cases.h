/* bench/micro_cases.h - what `onnxd bench micro` measures: the parts of a request's way, each alone.
 *
 *     struct micro_list list;
 *     micro_list_init(&list);
 *     status = micro_cases_base(&list, &err);
 *     status = micro_cases_model(&list, "deepfm.onnx", batches, 3, 1, &err);
 *     micro_list_filter(&list, "parse");
 *     micro_run(list.cases, list.n, ...);
 *     micro_list_done(&list);
 *
 * Ownership: micro_list_done frees every case's data. Threads: one at a time. */
#ifndef BENCH_MICRO_CASES_H
#define BENCH_MICRO_CASES_H

#include "bench/micro.h"

enum { MICRO_LIST_MAX = 256 };

struct micro_list {
    struct micro_case cases[MICRO_LIST_MAX];
    uint32_t n;
    struct { /* what to free at the end, in reverse order */
        void (*fn)(void *);
        void *data;
    } ends[MICRO_LIST_MAX];
    uint32_t n_ends;
    struct arena arena; /* names and contexts */
};

void micro_list_init(struct micro_list *list);
void micro_list_done(struct micro_list *list);

/* Adds a case; its name is made from the format. The list frees `context` with `end`, which may be NULL, even
 * on failure. ONNXD_ERR_LIMIT. */
__attribute__((format(printf, 6, 7))) ONNXD_MUST_USE onnxd_status
micro_list_add(struct micro_list *list, struct micro_case micro, void (*end)(void *), void *data,
               onnxd_error *err, const char *name_format, ...);

/* The clock, a histogram's record, and the forward pass of random networks of several sizes. */
ONNXD_MUST_USE onnxd_status micro_cases_base(struct micro_list *list, onnxd_error *err);
ONNXD_MUST_USE onnxd_status micro_cases_networks(struct micro_list *list, onnxd_error *err);

/* JSON, requests and answers of a model with 15 numbers in and one out, as the server reads and writes them.
 */
ONNXD_MUST_USE onnxd_status micro_cases_wire(struct micro_list *list, onnxd_error *err);

/* Runs of the model for each batch size; inputs are drawn (random_input.h) and change from call to call.
 * What loading and the first run say. */
ONNXD_MUST_USE onnxd_status micro_cases_model(struct micro_list *list, const char *path,
                                              const uint32_t *batches, uint32_t n_batches, uint64_t seed,
                                              onnxd_error *err);

/* Keeps the cases whose name holds `pattern`, or matches it as a whole where it has '*' or '?'. */
void micro_list_filter(struct micro_list *list, const char *pattern);

#endif
