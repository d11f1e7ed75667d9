/* base/seal.h - the frame around a binary file of our own: which kind of file it is, its version, and a hash
 * of all of it at the end, so that a file cut short or altered is never taken for a whole one.
 *
 *     static const struct seal seal = {"ONNXDFIT", 2, "a checkpoint of deepfm_train"};
 *     size_t start = seal_begin(&seal, &out);
 *     bytes_put_u32(&out, ...);
 *     seal_end(&out, start);
 *
 * The hash finds accidents; it does not prove who wrote the file: readers go on trusting nothing.
 * Threads: one at a time. */
#ifndef BASE_SEAL_H
#define BASE_SEAL_H

#include "base/bytes.h"
#include "onnxd/status.h"

struct seal {
    char magic[9]; /* eight characters */
    uint32_t version;
    const char *kind; /* for messages: "a checkpoint of deepfm_train" */
};

/* Appends the head; returns where it begins, for seal_end, which appends the hash of all from there. */
size_t seal_begin(const struct seal *seal, struct buf *out);
void seal_end(struct buf *out, size_t start);

/* What stands between head and hash, as a reader over the borrowed bytes. ONNXD_ERR_FORMAT: of another kind,
 * of another version, or damaged. */
ONNXD_MUST_USE onnxd_status seal_open(const struct seal *seal, const void *bytes, size_t n,
                                      struct byte_reader *ret_in, onnxd_error *err);

#endif
