/* cli_precision.h - what narrow weights cost: told on standard error when a model is loaded with them. */
#ifndef CLI_PRECISION_H
#define CLI_PRECISION_H

#include "onnxd/onnxd.h"

/* Runs `path` in fp32 and in bf16 on the same random rows (fixed seed) and prints one line: the largest
 * absolute difference of the outputs, or that this CPU multiplies no bf16 and the weights stay fp32, or why
 * it could not be measured. */
void cli_report_precision(const char *path);

#endif
