/* onnxd/status.h - how every fallible function of onnxd reports failure.
 *
 * A function that can fail returns an onnxd_status, ONNXD_OK (0) on success. On failure its outputs
 * are untouched and, where the caller passed an onnxd_error, that object holds a sentence that names
 * the culprit (input, node, field, file) and what was expected of it.
 *
 * Ownership: onnxd_error is a plain value; nothing in it needs freeing.
 * Threads:   no shared state. */
#ifndef ONNXD_STATUS_H
#define ONNXD_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define ONNXD_MUST_USE __attribute__((warn_unused_result))

#if defined(__GNUC__)
#define ONNXD_API __attribute__((visibility("default")))
#else
#define ONNXD_API
#endif

typedef enum onnxd_status {
    ONNXD_OK = 0,
    ONNXD_ERR_ARGUMENT, /* a parameter or option that can never be right */
    ONNXD_ERR_NOMEM,    /* the system has no memory left */
    ONNXD_ERR_LIMIT,    /* a configured ceiling (bytes, depth, count) would be passed */
    ONNXD_ERR_IO,       /* a file or socket could not be read or written */
    ONNXD_ERR_FORMAT,   /* malformed input: truncated, not ONNX, not JSON, not CSV */
    ONNXD_ERR_MODEL,    /* well-formed ONNX that breaks its own rules (cycle, missing value, bad attribute) */
    ONNXD_ERR_UNSUPPORTED, /* valid, but this build or engine does not do it */
    ONNXD_ERR_TYPE,        /* a tensor of the wrong element type */
    ONNXD_ERR_SHAPE,       /* a tensor of the wrong rank or dimensions */
    ONNXD_ERR_RANGE,       /* a number outside its allowed range, such as an index outside its table */
    ONNXD_ERR_NOT_FOUND,   /* no such model, version, file, field or key */
    ONNXD_ERR_BUSY,        /* try again later: a queue is full */
    ONNXD_ERR_TIMEOUT,     /* a deadline passed */
    ONNXD_ERR_CANCELLED,   /* stopped on request */
    ONNXD_ERR_INTERNAL     /* a defect of onnxd itself */
} onnxd_status;

#define ONNXD_ERROR_MESSAGE_BYTES 512

typedef struct onnxd_error {
    onnxd_status status;
    char message[ONNXD_ERROR_MESSAGE_BYTES]; /* NUL-terminated, one line, no trailing newline */
} onnxd_error;

/* The status as a short stable word, such as "shape" or "not_found"; never NULL. */
ONNXD_API const char *onnxd_status_name(onnxd_status status);

#ifdef __cplusplus
}
#endif
#endif
