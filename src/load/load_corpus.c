#include "load/load_corpus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "json/decimal.h"
#include "json/json_writer.h"
#include "json/shortest.h"

#define MAX_REQUESTS (1u << 20)

/* ---- templates ------------------------------------------------------------------------------------- */

static bool append_number(struct buf *out, double low, double high, bool fraction, struct rng *rng)
{
    char text[SHORTEST_MAX];
    double value = fraction ? low + (high - low) * rng_f64(rng)
                            : low + (double)rng_below(rng, (uint64_t)(high - low) + 1);
    if (fraction) value = round(value * 1e6) / 1e6;
    return buf_append(out, text, shortest_f64(value, text));
}

/* The placeholder behind "${", up to and with its '}'; NULL when it is none. */
static const char *expand_placeholder(const char *at, uint64_t number, struct rng *rng, struct buf *out)
{
    const char *end = strchr(at, '}');
    if (end == NULL) return NULL;
    if (end - at == 1 && *at == 'i')
        return buf_printf(out, "%llu", (unsigned long long)number) ? end + 1 : NULL;
    const char *dots = memmem(at, (size_t)(end - at), "..", 2);
    double low, high;
    if (dots == NULL || !decimal_parse_f64(at, (size_t)(dots - at), &low) ||
        !decimal_parse_f64(dots + 2, (size_t)(end - dots) - 2, &high) || !(low <= high) || fabs(low) > 1e15 ||
        fabs(high) > 1e15)
        return NULL;
    bool fraction = memchr(at, '.', (size_t)(dots - at)) != NULL ||
                    memchr(dots + 2, '.', (size_t)(end - dots) - 2) != NULL;
    return append_number(out, low, high, fraction, rng) ? end + 1 : NULL;
}

static onnxd_status expand(const char *body, uint64_t number, struct rng *rng, struct buf *out,
                           onnxd_error *err)
{
    for (const char *at = body; *at != 0;) {
        size_t plain = strcspn(at, "$");
        buf_append(out, at, plain);
        at += plain;
        if (*at == 0) break;
        if (at[1] == '$') {
            buf_append_char(out, '$');
            at += 2;
            continue;
        }
        const char *next = at[1] == '{' ? expand_placeholder(at + 2, number, rng, out) : NULL;
        if (next == NULL)
            return error_set(err, ONNXD_ERR_ARGUMENT,
                             "body: '%.24s' is no placeholder; expected ${0..9}, ${0.0..1.0}, ${i} or $$",
                             at);
        at = next;
    }
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "body: more than %zu bytes", out->max) : ONNXD_OK;
}

/* ---- row files ------------------------------------------------------------------------------------- */

struct rows {
    const char *at, *end;
    uint32_t line;
};

/* The next line that is not blank, without blanks around it. */
static bool next_line(struct rows *rows, const char **ret, size_t *ret_n)
{
    while (rows->at < rows->end) {
        const char *line = rows->at, *stop = memchr(line, '\n', (size_t)(rows->end - line));
        if (stop == NULL) stop = rows->end;
        rows->at = stop < rows->end ? stop + 1 : stop;
        rows->line++;
        while (line < stop && (*line == ' ' || *line == '\t')) line++;
        while (stop > line && (stop[-1] == '\r' || stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        if (stop == line) continue;
        *ret = line;
        *ret_n = (size_t)(stop - line);
        return true;
    }
    return false;
}

/* One row as JSON: an object as it is, or numbers between brackets. */
static onnxd_status append_row(const char *line, size_t n, uint32_t number, bool alone, struct buf *out,
                               onnxd_error *err)
{
    bool object = line[0] == '{', bracket = line[0] == '[';
    if (!object && !bracket && strchr("-0123456789", line[0]) == NULL)
        return error_set(err, ONNXD_ERR_FORMAT, "rows: line %u: expected numbers or a JSON object", number);
    if (!object && alone) buf_append_text(out, "{\"features\":");
    if (!object && !bracket) buf_append_char(out, '[');
    buf_append(out, line, n);
    if (!object && !bracket) buf_append_char(out, ']');
    if (!object && alone) buf_append_char(out, '}');
    return ONNXD_OK;
}

/* The body of the next `batch` rows; starts over at the end of the file. */
static onnxd_status append_rows_body(struct rows *rows, const char *start, uint32_t batch, struct buf *out,
                                     onnxd_error *err)
{
    if (batch > 1) buf_append_text(out, "{\"instances\":[");
    for (uint32_t i = 0; i < batch; i++) {
        const char *line;
        size_t n;
        if (!next_line(rows, &line, &n)) {
            *rows = (struct rows){start, rows->end, 0};
            if (!next_line(rows, &line, &n))
                return error_set(err, ONNXD_ERR_FORMAT, "rows: the file has no row");
        }
        if (i > 0) buf_append_char(out, ',');
        onnxd_status status = append_row(line, n, rows->line, batch == 1, out, err);
        if (status != ONNXD_OK) return status;
    }
    if (batch > 1) buf_append_text(out, "]}");
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "rows: a body of more than %zu bytes", out->max)
                       : ONNXD_OK;
}

static uint32_t count_lines(const char *text, size_t n)
{
    struct rows rows = {text, text + n, 0};
    const char *line;
    size_t n_line;
    uint32_t count = 0;
    while (count < MAX_REQUESTS && next_line(&rows, &line, &n_line)) count++;
    return count;
}

/* ---- requests -------------------------------------------------------------------------------------- */

struct body { /* of the request being written */
    struct buf text, headers;
    bool given;
};

static bool append_request(struct buf *all, const struct load_url *url, const struct load_corpus_options *o,
                           const struct body *body)
{
    const char *method = o->method != NULL ? o->method : body->given ? "POST" : "GET";
    buf_printf(all, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, url->path, url->authority);
    if (body->given)
        buf_printf(all, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                   o->content_type != NULL ? o->content_type : "application/json", body->text.n);
    if (o->close) buf_append_text(all, "Connection: close\r\n");
    if (o->headers != NULL) buf_append_text(all, o->headers);
    if (body->headers.n > 0) buf_append(all, body->headers.data, body->headers.n);
    buf_append_text(all, "\r\n");
    return buf_append(all, body->text.data, body->text.n) && !all->failed;
}

static onnxd_status append_body(const struct load_corpus_options *o, struct rows *rows, uint32_t i,
                                struct rng *rng, struct body *body, onnxd_error *err)
{
    if (o->fn != NULL) return o->fn(o->context, i, rng, &body->text, &body->headers, err);
    if (o->body != NULL) return expand(o->body, i, rng, &body->text, err);
    if (o->rows != NULL)
        return append_rows_body(rows, o->rows, o->batch > 1 ? o->batch : 1, &body->text, err);
    buf_append(&body->text, o->raw_body, o->n_raw_body);
    return ONNXD_OK;
}

onnxd_status load_corpus_build(const struct load_url *url, const struct load_corpus_options *options,
                               struct rng *rng, struct load_corpus *ret, onnxd_error *err)
{
    struct buf all;
    struct body body = {.given = options->body != NULL || options->rows != NULL ||
                                 options->raw_body != NULL || options->fn != NULL};
    struct rows rows = {options->rows, options->rows != NULL ? options->rows + options->n_rows_bytes : NULL,
                        0};
    uint32_t n = 1;
    if (options->fn != NULL || (options->body != NULL && strstr(options->body, "${") != NULL))
        n = options->n_variants > 0 ? options->n_variants : LOAD_DEFAULT_VARIANTS;
    if (options->rows != NULL) n = count_lines(options->rows, options->n_rows_bytes);
    if (n == 0) return error_set(err, ONNXD_ERR_FORMAT, "rows: the file has no row");
    onnxd_status status = ONNXD_OK;
    struct load_request *requests = calloc(n, sizeof *requests);
    size_t *ends = calloc(n, sizeof *ends);
    buf_init(&all, LOAD_MAX_CORPUS_BYTES);
    buf_init(&body.text, LOAD_MAX_CORPUS_BYTES);
    buf_init(&body.headers, 4096);
    if (requests == NULL || ends == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for %u requests", n);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        buf_reset(&body.text);
        buf_reset(&body.headers);
        status = append_body(options, &rows, i, rng, &body, err);
        if (status == ONNXD_OK && !append_request(&all, url, options, &body))
            status = error_set(err, ONNXD_ERR_LIMIT, "the requests take more than %u MiB",
                               LOAD_MAX_CORPUS_BYTES >> 20);
        if (status == ONNXD_OK) ends[i] = all.n;
    }
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        size_t from = i > 0 ? ends[i - 1] : 0;
        requests[i] = (struct load_request){all.data + from, ends[i] - from};
    }
    free(ends);
    buf_done(&body.text);
    buf_done(&body.headers);
    if (status != ONNXD_OK) {
        free(requests);
        buf_done(&all);
        return status;
    }
    *ret = (struct load_corpus){requests, n, all.data, (double)all.n / n};
    return ONNXD_OK;
}

onnxd_status load_corpus_closing(const struct load_corpus *corpus, struct load_corpus *ret, onnxd_error *err)
{
    static const char close_line[] = "Connection: close\r\n";
    struct buf all;
    struct load_request *requests = calloc(corpus->n + 1u, sizeof *requests);
    buf_init(&all, LOAD_MAX_CORPUS_BYTES);
    for (uint32_t i = 0; requests != NULL && i < corpus->n; i++) {
        const struct load_request *r = &corpus->requests[i];
        const char *line_end = memmem(r->bytes, r->n, "\r\n", 2);
        size_t n_line = line_end != NULL ? (size_t)(line_end - r->bytes) + 2 : 0;
        buf_append(&all, r->bytes, n_line);
        buf_append_text(&all, close_line);
        buf_append(&all, r->bytes + n_line, r->n - n_line);
        requests[i].n = r->n + sizeof close_line - 1;
    }
    if (requests == NULL || all.failed) {
        free(requests);
        buf_done(&all);
        return error_set(err, ONNXD_ERR_LIMIT, "the requests take more than %u MiB",
                         LOAD_MAX_CORPUS_BYTES >> 20);
    }
    const char *at = all.data;
    for (uint32_t i = 0; i < corpus->n; at += requests[i++].n) requests[i].bytes = at;
    *ret = (struct load_corpus){requests, corpus->n, all.data, (double)all.n / corpus->n};
    return ONNXD_OK;
}

void load_corpus_done(struct load_corpus *corpus)
{
    free(corpus->requests);
    free(corpus->memory);
    *corpus = (struct load_corpus){0};
}
