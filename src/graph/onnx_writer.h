/* graph/onnx_writer.h - build an ONNX model file piece by piece.
 *
 *     struct onnx_writer w;
 *     onnx_writer_init(&w, "policy", 17);
 *     onnx_writer_input(&w, "x", ONNXD_FLOAT32, 2, (int64_t[]){-1, 4}, "batch");
 *     onnx_writer_tensor(&w, "weights", ONNXD_FLOAT32, 2, (int64_t[]){4, 2}, weights);
 *     onnx_writer_node(&w, "MatMul", "product", "x weights", "y");
 *     onnx_writer_output(&w, "y", ONNXD_FLOAT32, 2, (int64_t[]){-1, 2}, "batch");
 *     status = onnx_writer_finish(&w, &buf, &err);
 *     onnx_writer_done(&w);
 *
 * Nodes are written in the order given, which must be an order of execution. The writer does not know the
 * operators; onnx_read and the engine judge the result.
 *
 * Failures (memory, sizes) stick and are told by onnx_writer_finish.
 * Ownership: names and data are copied. Threads: one at a time. */
#ifndef GRAPH_ONNX_WRITER_H
#define GRAPH_ONNX_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "onnxd/tensor.h"

struct onnx_list { /* of pointers to messages */
    void **items;
    size_t n, capacity;
};

struct onnx_writer {
    struct arena arena;
    const char *graph_name;
    int64_t opset;
    struct onnx_list nodes, tensors, inputs, outputs, metadata;
    bool failed;
};

void onnx_writer_init(struct onnx_writer *w, const char *graph_name, int64_t opset);
void onnx_writer_done(struct onnx_writer *w);

/* A value that the graph takes or gives. A dimension of -1 is variable and called dim_name, which several
 * values may share; dim_name may be NULL when there is none. */
void onnx_writer_input(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                       const int64_t *dims, const char *dim_name);
void onnx_writer_output(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                        const int64_t *dims, const char *dim_name);

/* A constant of any type with a fixed element size. data: dims elements, row-major. */
void onnx_writer_tensor(struct onnx_writer *w, const char *name, onnxd_type type, uint32_t rank,
                        const int64_t *dims, const void *data);

/* A node of the default domain. `inputs` and `outputs` are names parted by single blanks; "-" stands for an
 * optional one left out. */
void onnx_writer_node(struct onnx_writer *w, const char *op, const char *name, const char *inputs,
                      const char *outputs);

/* Attributes of the node written last. */
void onnx_writer_attr_int(struct onnx_writer *w, const char *name, int64_t value);
void onnx_writer_attr_float(struct onnx_writer *w, const char *name, float value);
void onnx_writer_attr_ints(struct onnx_writer *w, const char *name, const int64_t *values, size_t n);
void onnx_writer_attr_string(struct onnx_writer *w, const char *name, const char *value);

/* A pair of the model's metadata_props. */
void onnx_writer_metadata(struct onnx_writer *w, const char *key, const char *value);

/* Appends the file. ONNXD_ERR_NOMEM, ONNXD_ERR_LIMIT (the buffer's maximum). */
ONNXD_MUST_USE onnxd_status onnx_writer_finish(struct onnx_writer *w, struct buf *out, onnxd_error *err);

#endif
