/* onnxd/onnxd.h - everything the library offers, in one include.
 *
 *     onnxd_model *model = NULL;
 *     onnxd_session *session = NULL;
 *     onnxd_error err;
 *     if (onnxd_model_load("policy.onnx", NULL, &model, &err) != ONNXD_OK ||
 *         onnxd_session_create(model, NULL, &session, &err) != ONNXD_OK)
 *         fprintf(stderr, "%s\n", err.message);
 *
 * Read model.h, then session.h. */
#ifndef ONNXD_ONNXD_H
#define ONNXD_ONNXD_H

#include "onnxd/model.h"
#include "onnxd/session.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

#endif
