#include "load/load_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/decimal.h"

/* A number without a sign at the start of text; returns its end or NULL. */
static const char *read_number(const char *text, double *ret)
{
    struct decimal d;
    const char *end = decimal_scan(text, text + strlen(text), &d);
    if (end == NULL || d.negative) return NULL;
    *ret = decimal_to_f64(&d);
    return end;
}

static const char *read_duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    double value = 0, unit = 1e9;
    const char *end = read_number(text, &value);
    if (end == NULL) return NULL;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(end, units[i].name, n) != 0) continue;
        unit = units[i].ns;
        end += n;
        break;
    }
    if (value * unit > 1e16) return NULL;
    *ret_ns = (uint64_t)(value * unit);
    return end;
}

bool load_duration_parse(const char *text, uint64_t *ret_ns)
{
    uint64_t ns;
    const char *end = read_duration(text, &ns);
    if (end == NULL || *end != 0) return false;
    *ret_ns = ns;
    return true;
}

static const char *read_stage(const char *text, struct load_stage *stage)
{
    const char *at = read_duration(text, &stage->duration_ns);
    if (at == NULL || stage->duration_ns == 0) return NULL;
    if (*at != '@') return at;
    at = read_number(at + 1, &stage->rate_from);
    if (at == NULL) return NULL;
    stage->rate_to = stage->rate_from;
    if (*at == '-') at = read_number(at + 1, &stage->rate_to);
    return at != NULL && (stage->rate_from > 0 || stage->rate_to > 0) ? at : NULL;
}

onnxd_status load_stages_parse(const char *text, struct load_stage *ret, uint32_t *ret_n, onnxd_error *err)
{
    uint32_t n = 0, n_open = 0;
    for (const char *at = text;; at++) {
        if (n == LOAD_MAX_STAGES)
            return error_set(err, ONNXD_ERR_ARGUMENT, "stages: expected at most %d", LOAD_MAX_STAGES);
        struct load_stage stage = {0};
        at = read_stage(at, &stage);
        if (at == NULL || (*at != 0 && *at != ','))
            return error_set(err, ONNXD_ERR_ARGUMENT,
                             "stages: stage %u of '%s' is not like 10s@1000 or 10s@1000-5000", n + 1, text);
        n_open += stage.rate_from > 0 || stage.rate_to > 0;
        ret[n++] = stage;
        if (*at == 0) break;
    }
    if (n_open != 0 && n_open != n)
        return error_set(err, ONNXD_ERR_ARGUMENT, "stages: either all of '%s' have a rate or none", text);
    *ret_n = n;
    return ONNXD_OK;
}

uint64_t load_total_ns(const struct load_options *options)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < options->n_stages; i++) total += options->stages[i].duration_ns;
    return total;
}

double load_rate_at(const struct load_options *options, int64_t at_ns)
{
    if (at_ns < 0) {
        const struct load_stage *first = &options->stages[0];
        return first->rate_from > 0 ? first->rate_from : first->rate_to;
    }
    for (uint32_t i = 0; i < options->n_stages; i++) {
        const struct load_stage *s = &options->stages[i];
        if ((uint64_t)at_ns < s->duration_ns)
            return s->rate_from + (s->rate_to - s->rate_from) * (double)at_ns / (double)s->duration_ns;
        at_ns -= (int64_t)s->duration_ns;
    }
    return options->stages[options->n_stages - 1].rate_to;
}

double load_requests_asked(const struct load_options *options)
{
    double n = 0;
    for (uint32_t i = 0; i < options->n_stages; i++)
        n += (options->stages[i].rate_from + options->stages[i].rate_to) / 2 *
             (double)options->stages[i].duration_ns / 1e9;
    return n;
}

void load_multiply(struct load_options *options, uint32_t factor)
{
    options->n_connections *= factor;
    for (uint32_t i = 0; i < options->n_stages; i++) {
        options->stages[i].rate_from *= factor;
        options->stages[i].rate_to *= factor;
    }
}

onnxd_status load_url_parse(const char *text, struct load_url *ret, onnxd_error *err)
{
    struct load_url url = {.tls = strncmp(text, "https://", 8) == 0};
    url.port = url.tls ? 443 : 80;
    const char *at = url.tls ? text + 8 : strncmp(text, "http://", 7) == 0 ? text + 7 : text;
    size_t n_authority = strcspn(at, "/?");
    const char *path = at + n_authority;
    bool bracket = *at == '[';
    size_t n_host = bracket ? strcspn(at, "]") : strcspn(at, ":/?");
    const char *host = at + bracket, *after = at + n_host + bracket;
    n_host -= bracket;
    if (n_host == 0 || n_host >= sizeof url.host || n_authority >= sizeof url.authority ||
        strlen(path) + 2 > sizeof url.path || strpbrk(text, " \r\n\t") != NULL || after > path ||
        strstr(at, "://") == at + strcspn(at, ":/?"))
        return error_set(err, ONNXD_ERR_ARGUMENT, "'%.200s': expected http://host:port/path", text);
    memcpy(url.host, host, n_host);
    memcpy(url.authority, at, n_authority);
    if (*after == ':') {
        char *end = NULL;
        unsigned long port = strtoul(after + 1, &end, 10);
        if (end != path || end == after + 1 || port == 0 || port > 65535)
            return error_set(err, ONNXD_ERR_ARGUMENT, "'%.200s': expected a port from 1 to 65535", text);
        url.port = (uint16_t)port;
    }
    snprintf(url.path, sizeof url.path, "%s%s", *path == '/' ? "" : "/", path);
    *ret = url;
    return ONNXD_OK;
}
