/* onnxd bench: finds the suite and hands over to its file. */
#include "cli_commands.h"
#include "cli_options.h"
#include "onnxd_commands.h"

static const struct cli_subcommand suites[] = {
    {"engine", "the native engine against ONNX Runtime, in one process on one core", onnxd_bench_engine_main},
    {"micro", "the parts of a request's way, each alone", onnxd_bench_micro_main},
    {"modes", "in process or remote: the same model and rows, and what to choose", onnxd_bench_modes_main},
    {"load", "sends requests to a server and measures its answers", onnxd_bench_load_main},
    {"single", "one server process under load: where the time goes and what limits it",
     onnxd_bench_single_main},
    {"multi", "several server processes, straight and behind nginx: what scaling costs",
     onnxd_bench_multi_main},
    {"capacity", "predicts latency against load and instances, and how many a load needs",
     onnxd_bench_capacity_main},
    {"selftest", "proves that the load generator tells the truth, with a server that stalls",
     onnxd_bench_selftest_main},
    {"keep", "keeps figures that another tool measured", onnxd_bench_keep_main},
    {"report", "draws the runs kept by --history as a page", onnxd_bench_report_main},
    {"check", "has the latest build become worse? exit codes for a gate", onnxd_bench_check_main},
};

int onnxd_bench_main(int argc, char **argv)
{
    return cli_dispatch("onnxd bench", "suite", CLI_TABLE(suites), argc, argv);
}
