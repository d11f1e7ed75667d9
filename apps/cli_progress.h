/* cli_progress.h - one line on standard error that tells how far a long job is.
 *
 * Shown on a terminal only, at most ten times a second, and not where standard output fills the same
 * terminal. Threads: one at a time. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
    const char *unit; /* "rows" */
    const char *note; /* shown behind the rest, such as "loss 0.31"; NULL: none */
    bool shown;
    uint64_t start_ns, next_ns;
};

/* `own_output`: the job's results go elsewhere than to standard output. */
struct cli_progress cli_progress_start(const char *unit, bool own_output);

/* n units are done; at and total say how far that is in any measure, total 0: not known. */
void cli_progress_update(struct cli_progress *progress, uint64_t n, uint64_t at, uint64_t total);

/* Clears the line. */
void cli_progress_end(struct cli_progress *progress);

/* The line's text, for a job that began elapsed_ns ago. */
void cli_progress_text(const struct cli_progress *progress, uint64_t n, uint64_t at, uint64_t total,
                       uint64_t elapsed_ns, char *out, unsigned n_out);

#endif
