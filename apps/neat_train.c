/* neat_train: finds the subcommand and hands over to its file. */
#include "neat_train.h"

#include "cli_commands.h"
#include "cli_options.h"

static const struct cli_subcommand commands[] = {
    {"train", "evolves networks on a task, once or many times", neat_train_train_main},
    {"params", "prints a task's parameters as a commented file", neat_train_params_main},
    {"tournament", "ranks saved champions of the arena against each other", neat_train_tournament_main},
    {"replay", "plays one match of the arena into a page for the browser", neat_train_replay_main},
    {"bench", "compares modes, threads and network sizes", neat_train_bench_main},
    {"export", "writes a saved champion as ONNX, DOT and SVG", neat_train_export_main},
};

int main(int argc, char **argv)
{
    return cli_dispatch("neat_train", "command", CLI_TABLE(commands), argc, argv);
}
