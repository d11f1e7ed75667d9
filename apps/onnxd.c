/* onnxd: finds the subcommand and hands over to its file. */
#include <stdio.h>
#include <string.h>

#include "cli_options.h"
#include "onnxd_commands.h"

struct subcommand {
    const char *name, *summary;
    int (*main)(int argc, char **argv);
};

static const struct subcommand commands[] = {
    {"predict", "answers rows from a file or standard input", onnxd_predict_main},
    {"inspect", "shows inputs, outputs, operators, plan, memory and time per operator", onnxd_inspect_main},
    {"serve", "serves models over HTTP", onnxd_serve_main},
    {"bench", "measures servers, and the measuring itself", onnxd_bench_main},
};

static void print_list(const char *program, const char *kind, const struct subcommand *list, size_t n)
{
    printf("usage: %s <%s> [options]\n\n", program, kind);
    for (size_t i = 0; i < n; i++) printf("  %-10s %s\n", list[i].name, list[i].summary);
    printf("\n%s <%s> --help tells the options of each.\n", program, kind);
}

static int unknown(const char *program, const char *kind, const char *word, const struct subcommand *list,
                   size_t n)
{
    const char *names[32];
    for (size_t i = 0; i < n; i++) names[i] = list[i].name;
    const char *nearest = cli_nearest(word, names, n);
    fprintf(stderr, "%s: unknown %s '%s'", program, kind, word);
    if (nearest != NULL) fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\n%s --help lists them\n", program);
    return CLI_EXIT_USAGE;
}

/* argv[1] names the entry of `list` to hand over to. */
static int dispatch(const char *program, const char *kind, const struct subcommand *list, size_t n, int argc,
                    char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (help || strcmp(word, "--version") == 0) {
        if (help)
            print_list(program, kind, list, n);
        else
            cli_print_version("onnxd");
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

int main(int argc, char **argv)
{
    return dispatch("onnxd", "command", CLI_TABLE(commands), argc, argv);
}
