/* support/test.h - what every test program includes: cmocka, seeds, and files beside the project.
 *
 * Ownership: returned paths are static buffers, valid until the next call.
 * Threads:   one at a time. */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "onnxd/status.h"

/* The seed of this run: ONNXD_TEST_SEED or a fixed default. Printed once, so a failure can be repeated. */
uint64_t test_seed(void);

/* A file of the shared material beside the project, such as "models/deepfm.onnx". When the material is
 * absent the running test is skipped with a word on why, or fails where CI is set. */
const char *shared_path(const char *name);

/* A file of the project itself, such as "models/x.onnx". */
const char *project_path(const char *name);

/* Fails the test with the error's message unless the call succeeded. */
#define assert_ok(call, err)                                                                   \
    do {                                                                                       \
        onnxd_status assert_ok_status = (call);                                                \
        if (assert_ok_status != ONNXD_OK)                                                      \
            fail_msg("%s: %s: %s", #call, onnxd_status_name(assert_ok_status), (err).message); \
    } while (0)

/* Fails unless the call returned this status with a message that holds this text. */
#define assert_fails(call, want_status, err, text)                                         \
    do {                                                                                   \
        (err).message[0] = 0;                                                              \
        onnxd_status assert_fails_status = (call);                                         \
        if (assert_fails_status != (want_status))                                          \
            fail_msg("%s: expected %s, got %s: %s", #call, onnxd_status_name(want_status), \
                     onnxd_status_name(assert_fails_status), (err).message);               \
        if (strstr((err).message, text) == NULL)                                           \
            fail_msg("%s: message should hold \"%s\": %s", #call, text, (err).message);    \
    } while (0)

/* n elements whose end touches an unreadable page, so that a read past it faults. Freed with the process. */
void *guarded_alloc(size_t n_bytes);

#endif
