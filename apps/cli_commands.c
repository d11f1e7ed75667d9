#include "cli_commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli_manual.h"
#include "cli_options.h"

enum { MAX_ENTRIES = 32 };

static void print_list(const char *program, const char *kind, const struct cli_subcommand *list, size_t n)
{
    size_t width = 0;
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i].name) > width) width = strlen(list[i].name);
    printf("usage: %s <%s> [options]\n\n", program, kind);
    for (size_t i = 0; i < n; i++) printf("  %-*s  %s\n", (int)width, list[i].name, list[i].summary);
    printf("\n%s <%s> --help tells the options of each.\n", program, kind);
}

static int unknown(const char *program, const char *kind, const char *word, const struct cli_subcommand *list,
                   size_t n)
{
    const char *names[MAX_ENTRIES];
    for (size_t i = 0; i < n; i++) names[i] = list[i].name;
    const char *nearest = cli_nearest(word, names, n);
    fprintf(stderr, "%s: unknown %s '%s'", program, kind, word);
    if (nearest != NULL) fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\n%s --help lists them\n", program);
    return CLI_EXIT_USAGE;
}

int cli_dispatch(const char *program, const char *kind, const struct cli_subcommand *list, size_t n, int argc,
                 char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    signal(SIGXFSZ, SIG_IGN); /* a file past the limit on sizes is an error of write, told as any other */
    if (cli_print_commands_manual(program, kind, list, n, argc, argv)) return CLI_EXIT_OK;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_list(program, kind, list, n);
        return CLI_EXIT_OK;
    }
    if (strcmp(word, "--version") == 0) {
        cli_print_version(program);
        return CLI_EXIT_OK;
    }
    if (argc < 2) {
        fprintf(stderr, "%s: expected a %s\n%s --help lists them\n", program, kind, program);
        return CLI_EXIT_USAGE;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, list[i].name) == 0) return list[i].main(argc - 1, argv + 1);
    return unknown(program, kind, word, list, n);
}
