/* graph/onnx_scan.h - a look at a protobuf message before it is unpacked.
 *
 * protobuf-c unpacks nested messages by recursion and needs up to a hundred times their size in memory.
 * A hostile file is therefore walked first, in its wire form, along the descriptors: nesting and the
 * memory that unpacking will take are bounded, and a truncated message is told by its byte.
 *
 * Source: Protocol Buffers encoding specification (wire types 0, 1, 2 and 5).
 * Threads: pure functions. */
#ifndef GRAPH_ONNX_SCAN_H
#define GRAPH_ONNX_SCAN_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

/* Nested messages; a body of If in a body of Loop adds four levels. */
#define ONNX_SCAN_MAX_DEPTH 200

/* ONNXD_ERR_FORMAT: truncated or not a message of this kind; ONNXD_ERR_LIMIT: nested too deep, or unpacking
 * would take more than max_bytes. */
ONNXD_MUST_USE onnxd_status onnx_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                                      size_t n_bytes, size_t max_bytes, onnxd_error *err);

#endif
