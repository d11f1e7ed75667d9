/* graph/onnx_type.h - TypeProto to value_info. Private to the reader. */
#ifndef GRAPH_ONNX_TYPE_H
#define GRAPH_ONNX_TYPE_H

#include <onnx/onnx.pb-c.h>

#include "graph/graph.h"

/* `proto` may be NULL: unknown. Named dimensions become symbols of `symbols`, equal names equal symbols;
 * nameless ones a new symbol each. */
ONNXD_MUST_USE onnxd_status onnx_type_read(const Onnx__TypeProto *proto, struct graph *symbols,
                                           struct value_info *ret_info, onnxd_error *err);

#endif
