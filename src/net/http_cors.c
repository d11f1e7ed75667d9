#include "net/http_cors.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"

#define EXPOSED "Access-Control-Expose-Headers: Inference-Header-Content-Length, Retry-After\r\n"

struct cors_origin {
    const char *text; /* borrowed from `lines`; NULL: any */
    size_t n;
    struct buf lines; /* NUL-terminated */
};

struct http_cors {
    bool any;
    uint32_t n_origins;
    struct cors_origin origins[];
};

static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    if (strcmp(text, "*") == 0) return true;
    if (host == NULL || host == text || strlen(text) > 512) return false;
    for (const char *p = text; p < host; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(p > text && strchr("0123456789+-.", *p) != NULL)) return false;
    host += 3;
    if (*host == 0) return false;
    for (const char *p = host; *p != 0; p++)
        if (*p <= ' ' || *p > '~' || strchr("/\\?#@,;\"'<>", *p) != NULL || (*p >= 'A' && *p <= 'Z'))
            return false;
    return true;
}

static bool write_lines(struct cors_origin *origin, const char *text)
{
    static const char allow[] = "Access-Control-Allow-Origin: ";
    buf_init(&origin->lines, 4096);
    bool any = strcmp(text, "*") == 0;
    buf_printf(&origin->lines, "%s%s\r\n" EXPOSED "%s", allow, text, any ? "" : "Vary: Origin\r\n");
    buf_append_char(&origin->lines, 0);
    if (origin->lines.failed) return false;
    if (!any) origin->text = origin->lines.data + sizeof allow - 1;
    origin->n = strlen(text);
    return true;
}

onnxd_status http_cors_create(const char *const *origins, uint32_t n_origins, struct http_cors **ret_cors,
                              onnxd_error *err)
{
    for (uint32_t i = 0; i < n_origins; i++)
        if (!is_origin(origins[i]))
            return error_set(err, ONNXD_ERR_ARGUMENT,
                             "CORS: '%s' is no origin: expected scheme://host[:port] in lower case, or *",
                             origins[i]);
    struct http_cors *cors = calloc(1, sizeof *cors + n_origins * sizeof cors->origins[0]);
    if (cors == NULL) return error_set(err, ONNXD_ERR_NOMEM, "CORS: out of memory");
    for (uint32_t i = 0; i < n_origins; i++) {
        cors->n_origins++;
        if (!write_lines(&cors->origins[i], origins[i])) {
            http_cors_free(cors);
            return error_set(err, ONNXD_ERR_NOMEM, "CORS: out of memory");
        }
        cors->any |= cors->origins[i].text == NULL;
    }
    *ret_cors = cors;
    return ONNXD_OK;
}

void http_cors_free(struct http_cors *cors)
{
    if (cors == NULL) return;
    for (uint32_t i = 0; i < cors->n_origins; i++) buf_done(&cors->origins[i].lines);
    free(cors);
}

const char *http_cors_lines(const struct http_cors *cors, struct http_view origin, bool *ret_allowed)
{
    for (uint32_t i = 0; i < cors->n_origins; i++) {
        const struct cors_origin *one = &cors->origins[i];
        if (cors->any ? one->text == NULL : http_view_is(origin, one->text, one->n)) {
            *ret_allowed = origin.n > 0;
            return one->lines.data;
        }
    }
    *ret_allowed = false;
    return "Vary: Origin\r\n"; /* a cache must not give this answer to an origin that is let in */
}

const char *http_cors_preflight_lines(void)
{
    return "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
           "Access-Control-Allow-Headers: Authorization, Content-Encoding, Content-Type, "
           "Inference-Header-Content-Length, Traceparent, X-API-Key\r\n"
           "Access-Control-Max-Age: 600\r\n";
}
