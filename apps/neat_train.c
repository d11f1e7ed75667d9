/* neat_train: finds the subcommand and hands over to its file. */
#include "neat_train.h"

#include <stdio.h>
#include <string.h>

#include "cli_options.h"

static const struct subcommand {
    const char *name, *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"train", "evolves networks on a task, once or many times", neat_train_train_main},
    {"params", "prints a task's parameters as a commented file", neat_train_params_main},
    {"tournament", "ranks saved champions of the arena against each other", neat_train_tournament_main},
    {"replay", "plays one match of the arena into a page for the browser", neat_train_replay_main},
    {"bench", "compares modes, threads and network sizes", neat_train_bench_main},
    {"export", "writes a saved champion as ONNX, DOT and SVG", neat_train_export_main},
};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_list(void)
{
    printf("usage: neat_train <command> [options]\n\n");
    for (int i = 0; i < N_COMMANDS; i++) printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    printf("\nneat_train <command> --help tells the options of each.\n");
}

int main(int argc, char **argv)
{
    const char *names[N_COMMANDS], *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_list();
        return CLI_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        cli_print_version("neat_train");
        return CLI_EXIT_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(word, names[i]) == 0) return commands[i].main(argc - 1, argv + 1);
    }
    const char *nearest = cli_nearest(word, names, N_COMMANDS);
    fprintf(stderr, "neat_train: unknown command '%s'", word);
    if (nearest != NULL) fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\nneat_train --help lists them\n");
    return CLI_EXIT_USAGE;
}
