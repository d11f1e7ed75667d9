/* onnxd: finds the subcommand and hands over to its file. */
#include "cli_commands.h"
#include "cli_options.h"
#include "onnxd_commands.h"

static const struct cli_subcommand commands[] = {
    {"predict", "answers rows from a file or standard input", onnxd_predict_main},
    {"inspect", "shows inputs, outputs, operators, plan, memory and time per operator", onnxd_inspect_main},
    {"serve", "serves models over HTTP", onnxd_serve_main},
    {"health", "asks a running server whether it is ready", onnxd_health_main},
    {"bench", "measures servers, and the measuring itself", onnxd_bench_main},
};

int main(int argc, char **argv)
{
    return cli_dispatch("onnxd", "command", CLI_TABLE(commands), argc, argv);
}
