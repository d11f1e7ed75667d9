#include "serve/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

/* ---- life ------------------------------------------------------------------------------------------- */

static struct http_view keep(char **at, struct http_view view)
{
    struct http_view kept = {*at, view.n};
    if (view.n > 0) memcpy(*at, view.p, view.n);
    *at += view.n;
    return kept;
}

struct job *job_create(struct version *version, const struct call *call, const struct call_body *body)
{
    onnxd_error err;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) return NULL;
    job->n_kept = body->text.n + call->path.n + call->trace.n;
    job->kept = malloc(job->n_kept + 1);
    if (job->kept == NULL || row_store_init(&job->store, &version->schema, &err) != ONNXD_OK) {
        free(job->kept);
        free(job);
        return NULL;
    }
    char *at = job->kept;
    job->version = version_ref(version);
    job->call = *call;
    job->call.v2 = NULL;
    job->call.path = keep(&at, call->path);
    job->call.trace = keep(&at, call->trace);
    job->body = *body;
    job->body.text = keep(&at, body->text);
    job->header_bytes = V2_ALL_JSON;
    buf_init(&job->answer, version->settings.max_answer_bytes);
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL) return;
    for (uint32_t i = 0; job->results != NULL && i < job->version->schema.n_outputs; i++)
        free(job->results[i]);
    free(job->results);
    free(job->outputs);
    row_store_done(&job->store);
    buf_done(&job->answer);
    free(job->kept);
    version_unref(job->version);
    free(job);
}

void job_fail(struct job *job, onnxd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(job->err.message, sizeof job->err.message, format, args);
    va_end(args);
    job->is_run = true;
    job->status = status;
}

/* ---- in and out ------------------------------------------------------------------------------------- */

bool job_read(struct job *job, const struct clock *clock)
{
    if (job->is_read) return true;
    uint64_t start_ns = clock_now_ns(clock);
    job->is_read = true;
    job->status = call_read(job->version, &job->body, &job->store, &job->call, &job->err);
    job->parse_ns = clock_now_ns(clock) - start_ns;
    return job->status == ONNXD_OK;
}

void job_write(struct job *job, const struct call_result *result, onnxd_tensor *slices,
               const struct clock *clock)
{
    uint64_t start_ns = clock_now_ns(clock);
    job->run_start_ns = result->run_start_ns;
    job->is_run = true;
    job->status = call_write(job->version, &job->call, result, slices, &job->answer, &job->header_bytes,
                             &job->err);
    job->write_ns = clock_now_ns(clock) - start_ns;
}

void job_write_gathered(struct job *job, onnxd_tensor *slices, const struct clock *clock)
{
    struct call_result result = {.outputs = job->outputs,
                                 .n_rows_run = job->call.n_rows,
                                 .run_start_ns = job->run_start_ns,
                                 .run_end_ns = job->run_start_ns + job->run_ns};
    job_write(job, &result, slices, clock);
}

/* ---- slices ----------------------------------------------------------------------------------------- */

/* A run's texts go with the next run; they are copied into the job. */
static bool keep_texts(struct job *job, onnxd_string *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *copy = arena_memdup(&job->store.strings, texts[i].data, texts[i].len);
        if (copy == NULL) return false;
        texts[i].data = copy;
    }
    return true;
}

static bool gather_output(struct job *job, uint32_t i, const onnxd_tensor *out, uint32_t n)
{
    if (out->rank == 0 || out->dims[0] != n) {
        job_fail(job, ONNXD_ERR_INTERNAL, "output '%s' does not go by rows",
                 job->version->schema.outputs[i].info->name);
        return false;
    }
    size_t n_bytes = onnxd_tensor_n_bytes(out), row = n_bytes / n, all;
    if (job->results[i] == NULL) {
        if (!checked_mul_size(row, job->call.n_rows, &all) || all > job->version->settings.max_answer_bytes) {
            job_fail(job, ONNXD_ERR_LIMIT, "the answer is larger than max-answer-bytes = %llu",
                     (unsigned long long)job->version->settings.max_answer_bytes);
            return false;
        }
        job->results[i] = malloc(all > 0 ? all : 1);
        if (job->results[i] == NULL) {
            job_fail(job, ONNXD_ERR_NOMEM, "out of memory");
            return false;
        }
        job->outputs[i] = *out;
        job->outputs[i].dims[0] = job->call.n_rows;
        job->outputs[i].data = job->results[i];
    } else if (onnxd_tensor_n_bytes(&job->outputs[i]) != row * job->call.n_rows) {
        job_fail(job, ONNXD_ERR_INTERNAL, "output '%s': rows differ in size from run to run",
                 job->version->schema.outputs[i].info->name);
        return false;
    }
    char *at = job->results[i] + row * job->n_done;
    memcpy(at, out->data, n_bytes);
    if (out->type == ONNXD_STRING &&
        !keep_texts(job, (onnxd_string *)(void *)at, n_bytes / sizeof(onnxd_string))) {
        job_fail(job, ONNXD_ERR_LIMIT, "the answer's texts are too long");
        return false;
    }
    return true;
}

bool job_gather(struct job *job, const onnxd_tensor *outputs, const struct run *run, uint32_t n)
{
    uint32_t n_outputs = job->version->schema.n_outputs;
    if (job->results == NULL) job->results = calloc(n_outputs + 1, sizeof *job->results);
    if (job->outputs == NULL) job->outputs = calloc(n_outputs + 1, sizeof *job->outputs);
    if (job->results == NULL || job->outputs == NULL) {
        job_fail(job, ONNXD_ERR_NOMEM, "out of memory");
        return false;
    }
    for (uint32_t i = 0; i < n_outputs; i++)
        if (!gather_output(job, i, &outputs[i], n)) return false;
    if (job->n_done == 0) job->run_start_ns = run->start_ns;
    job->run_ns += run->end_ns - run->start_ns;
    job->n_done += n;
    return true;
}
