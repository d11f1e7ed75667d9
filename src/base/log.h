/* base/log.h - one line a record on standard error, as text or JSON.
 *
 *     log_info("model '%s' version %u loaded in %.1f ms", name, version, ms);
 *
 * The level and format are set once at start by the program; libraries never call log_configure. A line
 * is written by a single write(2), so lines of several threads and processes do not mix. Fields of
 * control characters are replaced. Only apps and src/serve, src/ctr and src/evolve log; the engine
 * reports through onnxd_error instead.
 *
 * Threads: any. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_NOTE };

void log_configure(enum log_level level, bool json);
bool log_enabled(enum log_level level);

/* "error", "warn", "info" or "debug" to a level; false for anything else. */
bool log_level_parse(const char *text, enum log_level *ret_level);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* What was asked for: written whatever the level, as info. */
#define log_note(...) log_write(LOG_LEVEL_NOTE, __VA_ARGS__)

#endif
