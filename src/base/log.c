#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug", "info"};
static _Atomic int current_level = LOG_LEVEL_WARN;
static _Atomic bool as_json = false;

void log_configure(enum log_level level, bool json)
{
    atomic_store(&current_level, level);
    atomic_store(&as_json, json);
}

bool log_enabled(enum log_level level)
{
    return level == LOG_LEVEL_NOTE ||
           (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

/* Escapes for JSON, or replaces control characters for text. Returns bytes written. */
static size_t copy_clean(char *out, size_t room, const char *text, bool json)
{
    size_t n = 0;
    for (; *text != 0 && n + 2 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (json && (c == '"' || c == '\\')) out[n++] = '\\';
        out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    return n;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level)) return;
    char message[1024], line[1024 * 2 + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);

    bool json = atomic_load(&as_json);
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, 40, json ? "{\"time\":\"%Y-%m-%dT%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, 64, json ? ".%03ldZ\",\"level\":\"%s\",\"message\":\"" : ".%03ldZ %s ",
                          ts.tv_nsec / 1000000, level_names[level]);
    n += copy_clean(line + n, sizeof line - n - 4, message, json);
    if (json) {
        line[n++] = '"';
        line[n++] = '}';
    }
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* there is no place left to complain */
}
