/* neat_train.h - the subcommands of neat_train, one file each, and what they share.
 *
 * Each subcommand takes its own name as argv[0] and returns the exit code (see cli_exit_code). */
#ifndef NEAT_TRAIN_H
#define NEAT_TRAIN_H

#include "evolve/policy.h"
#include "evolve/run.h"

int neat_train_train_main(int argc, char **argv);
int neat_train_params_main(int argc, char **argv);
int neat_train_tournament_main(int argc, char **argv);
int neat_train_replay_main(int argc, char **argv);
int neat_train_export_main(int argc, char **argv);
int neat_train_bench_main(int argc, char **argv);

/* The names of a task's inputs and outputs, or NULL for numbers. */
const char *const *task_input_names(const char *task);
const char *const *task_output_names(const char *task);

/* Writes champion.json, .onnx, .dot and .svg into `folder`, which must exist. ret_svg, which may be NULL,
 * receives the picture's text. */
ONNXD_MUST_USE onnxd_status write_policy_files(const struct policy *policy, const char *folder,
                                               struct buf *ret_svg, onnxd_error *err);

/* Plays one match and writes its page. opponent NULL: the chaser. */
ONNXD_MUST_USE onnxd_status write_replay(const char *path, const struct arena_options *options,
                                         const struct policy *policy, const char *name,
                                         const struct policy *opponent, const char *opponent_name,
                                         uint64_t seed, onnxd_error *err);

/* A server of our own: `onnxd serve --admin` from the folder of this program, on a free port. */
struct own_server {
    int pid; /* 0: none */
    int log; /* its standard error */
    char url[64];
    char folder[32]; /* its repository, empty: models come by request */
};

/* Waits until it can be asked. ONNXD_ERR_IO says what it said when it ended instead. */
ONNXD_MUST_USE onnxd_status own_server_start(struct own_server *server, onnxd_error *err);
void own_server_stop(struct own_server *server); /* takes a zeroed one */

#endif
