/* support/run_program.h - runs one of the built programs to its end and keeps what it printed.
 *
 * Ownership: run_result_done frees the texts.
 * Threads:   any. */
#ifndef SUPPORT_RUN_PROGRAM_H
#define SUPPORT_RUN_PROGRAM_H

#include <stddef.h>

struct run_result {
    int exit_code;   /* 128 + the signal when one ended it */
    char *out, *err; /* NUL-terminated */
    size_t n_out, n_err;
};

/* argv[0] is a name in the build folder, such as "onnxd"; argv ends with NULL. The input may be NULL: none.
 * Fails the test when the program cannot be started. */
struct run_result run_program(const char *const *argv, const void *input, size_t n_input);
void run_result_done(struct run_result *result);

/* The exit code of the program whose words are those of `program` and then `arguments` (both end with NULL).
 * The test fails unless it said `text` somewhere. */
int run_saying(const char *const *program, const char *const *arguments, const char *text);

/* A file in a folder of this test process's own, removed at its end; static buffer, valid until the next
 * call. */
const char *scratch_path(const char *name);

/* The same with this content. */
const char *scratch_file(const char *name, const void *bytes, size_t n);

#endif
