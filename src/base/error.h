/* base/error.h - filling the public error object.
 *
 *     return error_set(err, ONNXD_ERR_SHAPE, "input '%s': expected rank %d, got %d", name, want, got);
 *
 * Messages are one line, start with the culprit and say what was expected. Long or hostile text is cut
 * at the object's size and control characters are replaced, so a message is safe to log. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "onnxd/status.h"

/* Sets *err (which may be NULL) and returns `status`, so that it can stand behind `return`. */
__attribute__((format(printf, 3, 4))) onnxd_status error_set(onnxd_error *err, onnxd_status status,
                                                             const char *format, ...);

/* Puts context in front of an existing message: "model 'x': " + message. Returns err's status. */
__attribute__((format(printf, 2, 3))) void error_prefix(onnxd_error *err, const char *format, ...);

#endif
