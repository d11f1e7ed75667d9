/* support/conformance.h - runs one test in the layout of the official ONNX tests on the native engine.
 *
 * A test is a folder that holds model.onnx and test_data_set_*, each with input_N.pb and output_N.pb, which
 * belong to the N-th input and output of the graph. The model is run as it stands; as exported, without the
 * optimiser; and with every declared dimension of its inputs made variable, since real models leave them
 * open. All three must give the expected outputs.
 *
 * Threads: one at a time. */
#ifndef SUPPORT_CONFORMANCE_H
#define SUPPORT_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>

#include <onnx/onnx.pb-c.h>

#include "onnxd/model.h"
#include "support/compare.h"

/* The folder of Debian's libonnx-testdata. */
#define CONFORMANCE_DATA "/usr/share/libonnx-testdata/data"

/* True when the test passes; otherwise text tells the first difference or the error. */
bool conformance_run(const char *folder, struct tolerance tolerance, char *text, size_t text_size);

/* The same of the model as it stands alone, on this engine. */
bool conformance_run_on(onnxd_engine engine, const char *folder, struct tolerance tolerance, char *text,
                        size_t text_size);

/* Reads the folder's model, or NULL. Freed with onnx__model_proto__free_unpacked. */
Onnx__ModelProto *conformance_read_model(const char *folder);

#endif
