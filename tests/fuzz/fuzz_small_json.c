/* Any bytes as one of the small documents that are read back; the first byte chooses: a model's config.json,
 * the course of a training, a policy (which, once read, is written, read again alike, and drawn), or a
 * server's answers to rows. */
#include <stdlib.h>
#include <string.h>

#include "ctr/fit_course.h"
#include "evolve/policy.h"
#include "protocol/row_client.h"
#include "serve/model_config.h"

static void try_config(const char *text, size_t n)
{
    struct version_settings settings = {.max_batch = 64, .max_queue_size = 1024}, before = settings;
    onnxd_error err = {0};
    if (model_config_read(text, n, &settings, &err) == ONNXD_OK) return;
    if (err.message[0] == 0 || memcmp(&settings, &before, sizeof settings) != 0) abort();
}

static void try_course(const char *text, size_t n)
{
    struct fit_point *points = NULL;
    uint32_t n_points = 0;
    onnxd_error err = {0};
    if (fit_course_read(text, n, &points, &n_points, &err) != ONNXD_OK && err.message[0] == 0) abort();
    free(points);
}

static void write_forms(const struct policy *policy)
{
    struct buf json, again, other;
    struct policy copy;
    buf_init(&json, 1 << 20);
    buf_init(&again, 1 << 20);
    buf_init(&other, 16 << 20);
    if (policy_to_json(policy, &json, NULL) != ONNXD_OK ||
        policy_from_json(json.data, json.n, &copy, NULL) != ONNXD_OK ||
        policy_to_json(&copy, &again, NULL) != ONNXD_OK || json.n != again.n ||
        memcmp(json.data, again.data, json.n) != 0)
        abort();
    (void)!policy_to_onnx(&copy, &other, NULL);
    buf_reset(&other);
    (void)!policy_to_svg(&copy, NULL, NULL, &other, NULL);
    policy_done(&copy);
    buf_done(&json);
    buf_done(&again);
    buf_done(&other);
}

static void try_policy(const char *text, size_t n)
{
    struct policy policy;
    onnxd_error err = {0};
    if (policy_from_json(text, n, &policy, &err) != ONNXD_OK) {
        if (err.message[0] == 0) abort();
        return;
    }
    write_forms(&policy);
    policy_done(&policy);
}

static void try_answers(const char *text, size_t n)
{
    for (int form = ROW_FORM_PREDICT; form <= ROW_FORM_V1; form++)
        for (uint32_t rows = 1; rows <= (form == ROW_FORM_PREDICT ? 1u : 3u); rows += 2) {
            float *out = malloc(rows * 2 * sizeof *out); /* exactly as large as told */
            onnxd_error err = {0};
            if (out == NULL) abort();
            if (row_answer_read((enum row_form)form, text, n, rows, 2, out, &err) != ONNXD_OK &&
                err.message[0] == 0)
                abort();
            free(out);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const tries[])(const char *, size_t) = {try_config, try_course, try_policy, try_answers};
    if (n > 0) tries[data[0] % 4]((const char *)data + 1, n - 1);
    return 0;
}
