/* support/fake_model.h - an engine for tests of the server: one model whose answers are known.
 *
 * Its input "x" is float32 [B, 3], its output "y" float32 [B, 1], the sum of the row. A negative number is
 * refused as an index outside its table. What it does otherwise is set in fake_model. */
#ifndef SUPPORT_FAKE_MODEL_H
#define SUPPORT_FAKE_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/model_backend.h"

struct fake_model_state {
    bool is_batchable;
    bool fixed_batch;                 /* [1, 3] in place of [B, 3] */
    _Atomic onnxd_status load_status; /* not ONNXD_OK: loading fails so */
    onnxd_status run_status;
    uint64_t run_takes_ns;                 /* at least; it keeps the thread busy */
    _Atomic float scale;                   /* of the sums; a model keeps the one it was loaded with */
    _Atomic uint32_t n_models, n_sessions; /* alive */
    uint32_t n_runs, run_rows[256];        /* since fake_model_reset_runs */
};
extern struct fake_model_state fake_model;
extern const struct model_backend model_backend_fake;

void fake_model_reset(void);
void fake_model_reset_runs(void);

#endif
