/* onnxd bench: finds the suite and hands over to its file. */
#include <stdio.h>
#include <string.h>

#include "cli_options.h"
#include "onnxd_commands.h"

static const struct suite {
    const char *name, *summary;
    int (*main)(int argc, char **argv);
} suites[] = {
    {"engine", "the native engine against ONNX Runtime, in one process on one core", onnxd_bench_engine_main},
    {"load", "sends requests to a server and measures its answers", onnxd_bench_load_main},
    {"selftest", "proves that the load generator tells the truth, with a server that stalls",
     onnxd_bench_selftest_main},
};

enum { N_SUITES = sizeof suites / sizeof suites[0] };

int onnxd_bench_main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "--help", *names[N_SUITES];
    for (size_t i = 0; i < N_SUITES; i++) {
        if (strcmp(word, suites[i].name) == 0) return suites[i].main(argc - 1, argv + 1);
        names[i] = suites[i].name;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        printf("usage: onnxd bench <suite> [options]\n\n");
        for (size_t i = 0; i < N_SUITES; i++) printf("  %-10s %s\n", suites[i].name, suites[i].summary);
        printf("\nonnxd bench <suite> --help tells the options of each.\n");
        return argc > 1 ? CLI_EXIT_OK : CLI_EXIT_USAGE;
    }
    const char *nearest = cli_nearest(word, names, N_SUITES);
    fprintf(stderr, "onnxd bench: unknown suite '%s'", word);
    if (nearest != NULL) fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\nonnxd bench --help lists them\n");
    return CLI_EXIT_USAGE;
}
