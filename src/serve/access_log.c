#include "serve/access_log.h"

#include "base/clock.h"

#define PATH_SHOWN  255
#define TRACE_BYTES 55 /* 2 + 32 + 16 + 2 hexadecimal digits with dashes between */

static bool is_trace(struct http_view trace)
{
    if (trace.n != TRACE_BYTES) return false;
    for (size_t i = 0; i < TRACE_BYTES; i++) {
        char c = trace.p[i];
        bool dash = i == 2 || i == 35 || i == 52;
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !digit) return false;
    }
    return true;
}

void access_log_append(struct buf *out, const struct access_record *record, bool json)
{
    char path[PATH_SHOWN + 1];
    size_t n = 0, before = out->n;
    for (; n < record->path.n && n < PATH_SHOWN; n++) {
        unsigned char c = (unsigned char)record->path.p[n];
        path[n] = c < 0x21 || c > 0x7e || c == '"' || c == '\\' ? '?' : (char)c;
    }
    path[n] = 0;
    double ms = (double)record->ns / NS_PER_MS;
    bool traced = is_trace(record->trace);
    const char *trace = record->trace.p;
    if (json) {
        buf_printf(out, "{\"method\":\"%s\",\"path\":\"%s\",\"status\":%u,\"ms\":%.3f", record->method, path,
                   record->status, ms);
        if (traced) buf_printf(out, ",\"traceparent\":\"%.*s\"", TRACE_BYTES, trace);
        buf_append_text(out, "}\n");
    } else {
        buf_printf(out, "%s %s %u %.2fms", record->method, path, record->status, ms);
        if (traced) buf_printf(out, " trace=%.*s", TRACE_BYTES, trace);
        buf_append_char(out, '\n');
    }
    if (out->failed) buf_restore(out, before);
}
