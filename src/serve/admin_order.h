/* serve/admin_order.h - what an administrator asked for: to load a model, perhaps from content that came with
 * the request, or to unload it.
 *
 * An order is one piece of memory that may be written to a descriptor of a sealed memory file, passed to
 * other processes and read there. It is checked whenever it is read.
 *
 * Ownership: reference counted; the views lie within it.
 * Threads:   immutable once made. */
#ifndef SERVE_ADMIN_ORDER_H
#define SERVE_ADMIN_ORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

#define ADMIN_ORDER_NAME_BYTES 128

enum admin_verb { ADMIN_LOAD, ADMIN_UNLOAD };

struct admin_file { /* content in place of a version's file */
    uint64_t version;
    const char *bytes;
    size_t n;
};

struct admin_order {
    _Atomic uint32_t refs;
    enum admin_verb verb;
    const char *name;   /* of the model, shorter than ADMIN_ORDER_NAME_BYTES */
    const char *config; /* NUL-terminated text in place of config.json; NULL: none */
    struct admin_file *files;
    uint32_t n_files; /* 0: from the repository's folder */
    char *image;      /* everything, as it is passed on */
    size_t n_image;
    bool is_mapped;
};

/* Copies what it is given; `config` has n_config bytes, NULL for none. ONNXD_ERR_NOMEM; ONNXD_ERR_ARGUMENT: a
 * name that is empty or too long, a version of 0 or one given twice, a NUL in the configuration. */
ONNXD_MUST_USE onnxd_status admin_order_create(enum admin_verb verb, const char *name, const char *config,
                                               size_t n_config, const struct admin_file *files,
                                               uint32_t n_files, struct admin_order **ret_order,
                                               onnxd_error *err);
struct admin_order *admin_order_ref(struct admin_order *order);
void admin_order_unref(struct admin_order *order); /* takes NULL */

/* A sealed memory file that holds it; the caller closes it. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status admin_order_to_fd(const struct admin_order *order, int *ret_fd, onnxd_error *err);

/* Reads one; the descriptor stays the caller's and may be closed at once. ONNXD_ERR_FORMAT: it holds no order
 * of this program's form, or may be changed while it is read. */
ONNXD_MUST_USE onnxd_status admin_order_from_fd(int fd, struct admin_order **ret_order, onnxd_error *err);

/* Reads n bytes, which are copied. ONNXD_ERR_FORMAT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status admin_order_from_bytes(const void *bytes, size_t n,
                                                   struct admin_order **ret_order, onnxd_error *err);

/* Whether all that `order` did is undone or done again by `later`, so that it need not be kept. */
bool admin_order_is_outdone(const struct admin_order *order, const struct admin_order *later);

#endif
