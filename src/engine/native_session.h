/* engine/native_session.h - sessions of the native engine.
 *
 * Programs are kept by input shapes, least recently used out. Where the model works row by row, a large
 * batch is run in tiles of a few rows, so that all intermediate values of a tile stay in the cache while
 * it passes through the layers.
 *
 * Threads: one at a time per session. */
#ifndef ENGINE_NATIVE_SESSION_H
#define ENGINE_NATIVE_SESSION_H

#include "engine/native_model.h"
#include "engine/program.h"

struct native_session;

ONNXD_MUST_USE onnxd_status native_session_create(void *model, const onnxd_session_options *options,
                                                  void **ret_session, onnxd_error *err);
void native_session_free(void *session);
ONNXD_MUST_USE onnxd_status native_session_run(void *session, const onnxd_tensor *in, onnxd_tensor *ret_out,
                                               onnxd_error *err);
uint64_t native_session_memory(const void *session);

/* Rows of the tiles that a larger batch is cut into; 0 before the first such run. */
uint32_t native_session_tile_rows(const void *session);

#endif
