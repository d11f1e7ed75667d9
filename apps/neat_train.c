/* neat_train - evolve networks with NEAT: train, rank, export and replay. */
#include "neat_train.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} COMMANDS[] = {
    {"train", neat_train_train, "evolve on a task, once or many times"},
    {"params", neat_train_params, "print a task's parameters as a commented file"},
};

enum { N_COMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_usage(FILE *out)
{
    fprintf(out, "usage: neat_train COMMAND [OPTIONS]; COMMAND --help lists the options\n");
    for (int i = 0; i < N_COMMANDS; i++) fprintf(out, "  %-12s %s\n", COMMANDS[i].name, COMMANDS[i].help);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return 0;
    }
    for (int i = 0; argc >= 2 && i < N_COMMANDS; i++)
        if (strcmp(argv[1], COMMANDS[i].name) == 0) return COMMANDS[i].run(argc - 2, argv + 2);
    if (argc >= 2) fprintf(stderr, "neat_train: no command '%s'\n", argv[1]);
    print_usage(stderr);
    return 2;
}
