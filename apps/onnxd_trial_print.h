/* onnxd_trial_print.h - what `bench single` and `bench multi` share: options, preparation and printing. */
#ifndef ONNXD_TRIAL_PRINT_H
#define ONNXD_TRIAL_PRINT_H

#include "base/cpus.h"
#include "bench/bottleneck.h"
#include "json/json_writer.h"
#include "onnxd_load_options.h"

struct trial_arguments {
    struct load_arguments load;
    const char *model, *repository, *path, *serve, *json;
    uint32_t workers, port;
    struct cli_numbers server_cpus;
    int tool;
    bool quiet;
};

#define TRIAL_ARGUMENTS        \
    {                          \
        .load = LOAD_ARGUMENTS \
    }

/* clang-format off */
#define TRIAL_OPTIONS(T, M)                                                                                       \
    {.type = CLI_HEADING, .help = "Server"},                                                                      \
    {"model", CLI_TEXT, CLI_AT(T, M.model), "FILE", "the model to serve"},                                        \
    {"repository", CLI_TEXT, CLI_AT(T, M.repository), "DIR", "serves these instead"},                             \
    {"workers", CLI_U32, CLI_AT(T, M.workers), "N", "threads of each server process; 0: as onnxd serve chooses",  \
     .max = 1024},                                                                                                \
    {"port", CLI_U32, CLI_AT(T, M.port), "PORT", "the port that clients use; 0 picks a free one", .max = 65535},  \
    {"serve", CLI_TEXT, CLI_AT(T, M.serve), "WORDS", "further options of onnxd serve, in one text"},              \
    {"server-cpus", CLI_NUMBERS, CLI_AT(T, M.server_cpus), "LIST",                                                \
     "processors that servers run on alone, such as 0,1; nginx and the client then run on the others",           \
     .max = CPUS_MAX - 1, .hides_default = true},                                                                 \
    {"path", CLI_TEXT, CLI_AT(T, M.path), "PATH",                                                                 \
     "what is asked, such as /predict or /v2/models/NAME/infer; without it /predict, or v2 for binary rows"},     \
    {"tool", CLI_CHOICE, CLI_AT(T, M.tool), "onnxd|wrk", "what sends the load", .env = "TOOL"}
/* clang-format on */

struct trial_setup { /* plain; texts of `words` live in it */
    char program[4096], workers[16], serve[1024];
    const char *words[DEPLOYMENT_MAX_WORDS + 1];
    struct load_options plan;
    uint32_t n_cpus; /* of servers, nginx and client together */
};

/* Reads the options. CLI_GO_ON, or the exit code. */
int trial_setup_make(const struct cli_command *command, const struct trial_arguments *a,
                     uint32_t default_workers, struct trial_setup *ret);

/* The requests, asked of a running deployment. CLI_GO_ON, or the exit code; load_corpus_done frees. */
int trial_make_target(const struct cli_command *command, const struct trial_arguments *a,
                      const struct trial_setup *setup, const struct deployment *deployment,
                      struct load_target *ret);

void trial_print_configuration(const struct trial_arguments *a, const struct trial_setup *setup,
                               const struct load_target *target);
void trial_print_split(const struct trial *trial);
void trial_print_processes(const struct trial *trial);
void trial_print_bottlenecks(const struct trial *trial, const struct trial_arguments *a,
                             const struct trial_setup *setup);

/* The trial's figures as members of the object that is open. */
void trial_json(struct json_writer *w, const struct trial *trial, const struct trial_arguments *a,
                const struct trial_setup *setup);

#endif
