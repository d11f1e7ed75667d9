#include "cli_history.h"

#include <stdio.h>

int cli_history_keep(const char *command_name, const char *path, struct bench_run *run)
{
    onnxd_error err;
    onnxd_status status = path != NULL ? bench_history_keep(path, run, &err) : ONNXD_OK;
    if (path != NULL && status == ONNXD_OK)
        fprintf(stderr, "kept in %s: %s, %u figures\n", path, run->suite, run->n_figures);
    bench_run_done(run);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command_name, &err);
}
