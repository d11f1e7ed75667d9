#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A peer chooses parts of many messages; none of them may break a log line or a terminal. */
static void replace_control_characters(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != 0; c++)
        if (*c < 0x20 || *c == 0x7f) *c = '?';
}

onnxd_status error_set(onnxd_error *err, onnxd_status status, const char *format, ...)
{
    if (err == NULL) return status;
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    replace_control_characters(err->message);
    return status;
}

void error_prefix(onnxd_error *err, const char *format, ...)
{
    if (err == NULL) return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - (size_t)n, "%s", old);
    replace_control_characters(err->message);
}

const char *onnxd_status_name(onnxd_status status)
{
    static const char *const names[] = {
        [ONNXD_OK] = "ok",
        [ONNXD_ERR_ARGUMENT] = "argument",
        [ONNXD_ERR_NOMEM] = "no_memory",
        [ONNXD_ERR_LIMIT] = "limit",
        [ONNXD_ERR_IO] = "io",
        [ONNXD_ERR_FORMAT] = "format",
        [ONNXD_ERR_MODEL] = "model",
        [ONNXD_ERR_UNSUPPORTED] = "unsupported",
        [ONNXD_ERR_TYPE] = "type",
        [ONNXD_ERR_SHAPE] = "shape",
        [ONNXD_ERR_RANGE] = "range",
        [ONNXD_ERR_NOT_FOUND] = "not_found",
        [ONNXD_ERR_BUSY] = "busy",
        [ONNXD_ERR_TIMEOUT] = "timeout",
        [ONNXD_ERR_CANCELLED] = "cancelled",
        [ONNXD_ERR_INTERNAL] = "internal",
    };
    if ((unsigned)status >= sizeof names / sizeof names[0]) return "unknown";
    return names[status];
}
