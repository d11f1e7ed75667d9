/* graph/onnx_reader.h - an ONNX file becomes a graph.
 *
 * Reads the protobuf message, resolves names to values, closes bodies of control flow over what they
 * capture, writes calls of model-local functions out, orders the nodes. Operators are not looked at:
 * that is ops and engine.
 *
 * Ownership: the graph lies in `arena`; nothing points back into the file.
 * Threads:   pure but for external data files. */
#ifndef GRAPH_ONNX_READER_H
#define GRAPH_ONNX_READER_H

#include "graph/graph.h"

#define ONNX_MAX_NODES          1000000u /* after functions are written out */
#define ONNX_MAX_BODY_DEPTH     32u
#define ONNX_MAX_FUNCTION_DEPTH 32u

struct onnx_facts {
    int64_t ir_version;
    int64_t opset;        /* of ai.onnx */
    const char *producer; /* name and version; "" when the file has none */
};

/* The file as `n_bytes` bytes; `folder` for external data or NULL. `max_bytes` bounds what unpacking takes.
 * Every failure names the value, node or tensor at fault. */
ONNXD_MUST_USE onnxd_status onnx_read(const void *bytes, size_t n_bytes, const char *folder, size_t max_bytes,
                                      struct arena *arena, struct graph **ret_graph,
                                      struct onnx_facts *ret_facts, onnxd_error *err);

#endif
