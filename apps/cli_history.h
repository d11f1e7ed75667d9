/* cli_history.h - the option that keeps a run, for every command that measures.
 *
 *     static const struct cli_option options[] = {..., CLI_HISTORY(struct load_options, history)};
 *     ...
 *     return cli_history_keep(command.name, o.history, &run);
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "bench/bench_history.h"
#include "cli_options.h"

/* clang-format off */
#define CLI_HISTORY(type, member)                                                                  \
    {"history", CLI_TEXT, CLI_AT(type, member), "FILE",                                            \
     "keeps the run in this SQLite file, for bench report and check", .env = "ONNXD_BENCH_HISTORY"}
/* clang-format on */

/* Keeps the run in `path` and says so on standard error; path NULL: nothing. Frees the run's memory. Returns
 * the exit code. */
int cli_history_keep(const char *command_name, const char *path, struct bench_run *run);

#endif
