/* neat_train_options.h - `--name value` arguments into variables.
 *
 * Threads: at start only. */
#ifndef NEAT_TRAIN_OPTIONS_H
#define NEAT_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_U32, OPTION_U64, OPTION_LIST };

#define OPTION_LIST_MAX 64

struct option_list {
    const char *items[OPTION_LIST_MAX];
    uint32_t n;
};

struct option_spec {
    const char *name; /* with the dashes */
    enum option_kind kind;
    void *value; /* bool, const char *, uint32_t, uint64_t or struct option_list */
    const char *help;
};

/* Reads all arguments. Those without dashes go to `rest`, which may be NULL (then they are wrong). Says what
 * is wrong, or the help asked for, itself; returns -1 to go on, else the exit code. */
int options_read(const char *usage, const struct option_spec *specs, size_t n_specs, int argc, char **argv,
                 struct option_list *rest);

#endif
