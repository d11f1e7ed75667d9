/* neat_train params: a task's parameters as a commented file. */
#include <stdio.h>

#include "cli_options.h"
#include "neat_train.h"

struct params_options {
    const char *task;
};

static const struct cli_option options[] = {
    {"task", CLI_TEXT, CLI_AT(struct params_options, task), "NAME", "whose parameters to print"},
};

static const struct cli_command command = {
    "neat_train params", "Prints a task's parameters as a commented file.", CLI_TABLE(options)};

int neat_train_params_main(int argc, char **argv)
{
    struct params_options o = {.task = "xor"};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    const struct task *task = task_find(o.task);
    if (task == NULL) return cli_usage_error(&command, "no task '%s'", o.task);
    struct neat_params params;
    struct buf out;
    char title[120];
    task_params(task, &params);
    buf_init(&out, 1 << 20);
    snprintf(title, sizeof title, "NEAT on %s: every key must stand here exactly once", task->title);
    neat_params_print(&params, title, &out);
    fwrite(out.data, 1, out.n, stdout);
    buf_done(&out);
    return fflush(stdout) == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}
