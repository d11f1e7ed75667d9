/* serve/model_config.h - the settings of one model: config.json beside its versions. */
#ifndef SERVE_MODEL_CONFIG_H
#define SERVE_MODEL_CONFIG_H

#include "serve/version.h"

/* Changes in *settings what the text says; its fields are those of docs/server.md. ONNXD_ERR_LIMIT,
 * ONNXD_ERR_FORMAT, ONNXD_ERR_RANGE, ONNXD_ERR_NOT_FOUND (an unknown field); *settings is then as before. */
ONNXD_MUST_USE onnxd_status model_config_read(const char *text, size_t n, struct version_settings *settings,
                                              onnxd_error *err);

#endif
