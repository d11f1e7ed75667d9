/* onnxd_commands.h - the subcommands of onnxd, one file each.
 *
 * Each takes its own name as argv[0] and returns the exit code (see cli_exit_code). */
#ifndef ONNXD_COMMANDS_H
#define ONNXD_COMMANDS_H

int onnxd_serve_main(int argc, char **argv);
int onnxd_predict_main(int argc, char **argv);
int onnxd_inspect_main(int argc, char **argv);
int onnxd_health_main(int argc, char **argv);

/* Hands over to onnxd_bench_<suite>_main. */
int onnxd_bench_main(int argc, char **argv);
int onnxd_bench_capacity_main(int argc, char **argv);
int onnxd_bench_engine_main(int argc, char **argv);
int onnxd_bench_micro_main(int argc, char **argv);
int onnxd_bench_modes_main(int argc, char **argv);
int onnxd_bench_report_main(int argc, char **argv);
int onnxd_bench_keep_main(int argc, char **argv);
int onnxd_bench_check_main(int argc, char **argv);
int onnxd_bench_load_main(int argc, char **argv);
int onnxd_bench_multi_main(int argc, char **argv);
int onnxd_bench_selftest_main(int argc, char **argv);
int onnxd_bench_single_main(int argc, char **argv);

#endif
