/* graph/onnx_attribute.h - AttributeProto to struct attribute. Private to the reader. */
#ifndef GRAPH_ONNX_ATTRIBUTE_H
#define GRAPH_ONNX_ATTRIBUTE_H

#include "graph/onnx_scope.h"

/* Inside a function an attribute may refer to one of the call: follows such references outwards and sets
 * *scope to where the result stands. NULL when the call leaves it out. */
const Onnx__AttributeProto *onnx_attribute_resolve(const Onnx__AttributeProto *proto,
                                                   struct onnx_scope **scope);

/* Everything but the name. A body (ATTRIBUTE_GRAPH) is left to the caller: ret->graph is NULL. */
ONNXD_MUST_USE onnxd_status onnx_attribute_read(const Onnx__AttributeProto *proto, const char *folder,
                                                struct graph *symbols, struct arena *arena,
                                                struct attribute *ret, onnxd_error *err);

#endif
