/* support/models.h - the exported models with their stored inputs and answers. */
#ifndef SUPPORT_MODELS_H
#define SUPPORT_MODELS_H

#include "onnxd/onnxd.h"

enum { STORED_ROWS = 64, STORED_COLUMNS = 15 };

struct stored {
    float in[STORED_ROWS * STORED_COLUMNS];
    float out[STORED_ROWS]; /* PyTorch's */
};

/* "deepfm", "wdl" or "autoint"; skips the test where the shared material is absent. */
void stored_read(const char *name, struct stored *ret);

/* Path of the model; a static buffer. */
const char *stored_model_path(const char *name);

/* Largest absolute difference to the stored answers when all rows are run in batches of `batch`. */
double stored_worst_difference(onnxd_session *session, struct stored *stored, int64_t batch);

#endif
