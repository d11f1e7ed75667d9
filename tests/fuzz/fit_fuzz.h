/* What fuzz_fit_checkpoint and fuzz_encoded_rows share: a model of a few dozen numbers. */
#ifndef FUZZ_FIT_FUZZ_H
#define FUZZ_FIT_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/threads.h"
#include "ctr/fit.h"

enum { FIT_FUZZ_COLUMNS = 4 }; /* a category, a list of two, a number */

struct fit_fuzz {
    struct ctr_shape shape;
    struct threads *threads;
    struct fit_options options;
};

/* Made once, for all inputs. */
static inline struct fit_fuzz *fit_fuzz_model(void)
{
    static const struct ctr_field fields[] = {
        {.name = "site", .n_slots = 1, .n_ids = 3, .padding_id = FEATURE_NO_ID},
        {.name = "tags", .first_column = 1, .n_slots = 2, .n_ids = 3, .padding_id = 1}};
    static const struct ctr_network network = {.embedding = 2,
                                               .hidden = {2},
                                               .n_hidden = 1,
                                               .crosses = {{.fields = {1, 0}, .n = 2}},
                                               .n_crosses = 1};
    static struct fit_fuzz model, *f = &model;
    if (f->threads != NULL) return f;
    f->options = fit_options_default();
    if (ctr_shape_make(&f->shape, fields, 2, 1, &network, NULL) != ONNXD_OK ||
        threads_create(1, &f->threads, NULL) != ONNXD_OK)
        abort();
    f->options.batch = 4;
    f->options.max_epochs = 3;
    f->options.looks = 2;
    return f;
}

/* A file in memory; the caller closes the descriptor. */
static inline int fit_fuzz_file(const void *bytes, size_t n, char *ret_path, size_t size)
{
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    snprintf(ret_path, size, "/proc/self/fd/%d", fd);
    return fd;
}

/* Trains to the end, or to the first complaint, which must say what it is about. */
static inline void fit_fuzz_run(struct fit *fit)
{
    onnxd_error err = {0};
    onnxd_status status = ONNXD_OK;
    for (int i = 0; i < 50 && !fit->finished && status == ONNXD_OK; i++) status = fit_batch(fit, NULL, &err);
    if (status == ONNXD_OK && fit->finished) status = fit_finish(fit, &err);
    if (status != ONNXD_OK && err.message[0] == 0) abort();
}

#endif
