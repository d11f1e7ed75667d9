#include <stdio.h>

#include "evolve/task.h"
#include "neat_train.h"
#include "neat_train_options.h"

int neat_train_params(int argc, char **argv)
{
    const char *name = "xor";
    const struct option_spec specs[] = {{"--task", OPTION_TEXT, &name, "whose parameters to print (xor)"}};
    int code = options_read("neat_train params [--task T] > FILE", specs, sizeof specs / sizeof specs[0],
                            argc, argv, NULL);
    if (code >= 0) return code;
    const struct task *task = task_find(name);
    if (task == NULL) {
        fprintf(stderr, "neat_train: no task '%s'\n", name);
        return 2;
    }
    struct neat_params params;
    struct buf out;
    char title[120];
    task_params(task, &params);
    buf_init(&out, 1 << 20);
    snprintf(title, sizeof title, "NEAT on %s: every key must stand here exactly once", task->title);
    neat_params_print(&params, title, &out);
    fwrite(out.data, 1, out.n, stdout);
    buf_done(&out);
    return fflush(stdout) == 0 ? 0 : 1;
}
