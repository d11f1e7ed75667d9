/* What a server tells of itself: a model's description, from which requests are made, and its metrics. */
#include <stdlib.h>
#include <string.h>

#include "bench/served_model.h"
#include "bench/server_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A description that is taken makes requests, unless its rows are large. */
static void make_requests(const struct served_model *model, enum request_form form)
{
    struct load_url url = {.port = 1, .path = "/", .authority = "h"};
    struct load_corpus corpus;
    struct rng rng = rng_seed(1);
    onnxd_error err;
    struct load_corpus_options o = {.batch = 2, .n_variants = 2};
    if (served_model_corpus(model, form, &url, o, &rng, &corpus, &err) == ONNXD_OK) load_corpus_done(&corpus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct served_model model;
    struct server_split split = {0};
    onnxd_error err;
    char *text = malloc(n + 1);
    if (text == NULL) return 0;
    memcpy(text, data, n);
    server_split_read(text, n, &split);
    if (served_model_read(text, n, &model, &err) == ONNXD_OK) {
        size_t elements = 0;
        for (uint32_t i = 0; i < model.n_inputs; i++) elements += model.schema.inputs[i].row_elements;
        if (elements < 4096) {
            make_requests(&model, FORM_V2_BINARY);
            make_requests(&model, FORM_PREDICT);
        }
        served_model_done(&model);
    }
    free(text);
    return 0;
}
