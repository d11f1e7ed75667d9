/* onnxd/session.h - run a loaded model.
 *
 * A session executes one immutable model. For every set of input shapes it meets it keeps a program:
 * a flat list of kernel calls with fixed addresses in a planned arena. The first run of a new shape
 * builds its program; later runs allocate nothing, lock nothing and look nothing up by name.
 *
 * Errors:  functions return onnxd_status (ONNXD_OK == 0) and leave outputs untouched on failure;
 *          *err, which may be NULL, then names the offending input or node.
 * Threads: a model may be shared by any threads; a session is used by one at a time. */
#ifndef ONNXD_SESSION_H
#define ONNXD_SESSION_H

#include <stdint.h>

#include "onnxd/model.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct onnxd_session onnxd_session;

typedef struct onnxd_session_options { /* {0} selects every default */
    uint32_t max_batch;         /* a program for this many rows is built at once, 1..65536; 0 means 1 */
    uint32_t max_programs;      /* programs kept, least recently used out; 0 means 64 */
    uint64_t arena_limit_bytes; /* ceiling on the session's memory; 0 means 1 GiB */
} onnxd_session_options;

/* Plans a session. Holds its own reference on `model`; the caller frees *ret_session. `options` may be NULL.
 * ONNXD_ERR_NOMEM; ONNXD_ERR_RANGE (options); ONNXD_ERR_LIMIT (plan exceeds arena_limit_bytes). */
ONNXD_API ONNXD_MUST_USE onnxd_status onnxd_session_create(onnxd_model *model,
                                                           const onnxd_session_options *options,
                                                           onnxd_session **ret_session, onnxd_error *err);

ONNXD_API void onnxd_session_free(onnxd_session *session); /* takes NULL */

/* Runs once. in[i] are the model's inputs in its order, borrowed for the call; ret_out[j] become views
 * of the session's memory, valid until the next run or free. n_in and n_out must match the model.
 * ONNXD_ERR_SHAPE, ONNXD_ERR_TYPE, ONNXD_ERR_RANGE (an index outside its table), ONNXD_ERR_LIMIT,
 * ONNXD_ERR_NOMEM. */
ONNXD_API ONNXD_MUST_USE onnxd_status onnxd_session_run(onnxd_session *session, const onnxd_tensor *in,
                                                        uint32_t n_in, onnxd_tensor *ret_out, uint32_t n_out,
                                                        onnxd_error *err);

/* Bytes the session holds at present: arenas, outputs and programs. */
ONNXD_API uint64_t onnxd_session_memory_bytes(const onnxd_session *session);

#ifdef __cplusplus
}
#endif
#endif
