#include "serve/admin_order.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/error.h"
#include "serve/sealed_file.h"

#define MAGIC     "onnxd-order-1"
#define MAX_BYTES ((size_t)4 << 30)
#define MAX_FILES 1024u
#define NO_CONFIG UINT64_MAX

/* The image: this, the files' places, the name, the configuration, each with a NUL, then the content. */
struct head {
    char magic[16];
    uint32_t verb, n_files;
    uint64_t n_name, n_config;
};

struct place {
    uint64_t version, n;
};

/* ---- reading ---------------------------------------------------------------------------------------- */

struct cursor {
    const char *at;
    size_t left;
};

static const char *take(struct cursor *cursor, uint64_t n)
{
    const char *at = cursor->at;
    if (n > cursor->left) return NULL;
    cursor->at += n;
    cursor->left -= (size_t)n;
    return at;
}

/* n characters and a NUL, and none within. */
static const char *take_text(struct cursor *cursor, uint64_t n)
{
    const char *text = n < cursor->left ? take(cursor, n + 1) : NULL;
    return text != NULL && text[n] == 0 && strlen(text) == n ? text : NULL;
}

static bool has_version(const struct admin_order *order, uint64_t version)
{
    for (uint32_t i = 0; i < order->n_files; i++)
        if (order->files[i].version == version) return true;
    return false;
}

/* Fills the views of an order whose image is there; order->files has room for all. */
static bool read_files(struct admin_order *order, const char *places, uint32_t n_files, struct cursor *cursor)
{
    for (uint32_t i = 0; i < n_files; i++) {
        struct place place;
        memcpy(&place, places + i * sizeof place, sizeof place);
        const char *bytes = take(cursor, place.n);
        if (bytes == NULL || place.version == 0 || has_version(order, place.version)) return false;
        order->files[order->n_files++] = (struct admin_file){place.version, bytes, (size_t)place.n};
    }
    return cursor->left == 0;
}

static onnxd_status read_image(struct admin_order *order, onnxd_error *err)
{
    struct head head;
    struct cursor cursor = {order->image, order->n_image};
    const char *at = take(&cursor, sizeof head), *places = NULL;
    if (at != NULL) memcpy(&head, at, sizeof head);
    bool ok = at != NULL && memcmp(head.magic, MAGIC, sizeof MAGIC) == 0 && head.verb <= ADMIN_UNLOAD &&
              head.n_files <= MAX_FILES && (head.n_files == 0 || head.verb == ADMIN_LOAD) &&
              head.n_name > 0 && head.n_name < ADMIN_ORDER_NAME_BYTES;
    if (ok) ok = (places = take(&cursor, head.n_files * sizeof(struct place))) != NULL;
    if (ok) ok = (order->name = take_text(&cursor, head.n_name)) != NULL;
    if (ok && head.n_config != NO_CONFIG) ok = (order->config = take_text(&cursor, head.n_config)) != NULL;
    if (!ok) return error_set(err, ONNXD_ERR_FORMAT, "not an order to the repository");
    order->verb = (enum admin_verb)head.verb;
    order->files = calloc(head.n_files + 1, sizeof *order->files);
    if (order->files == NULL) return error_set(err, ONNXD_ERR_NOMEM, "order: out of memory");
    if (!read_files(order, places, head.n_files, &cursor))
        return error_set(err, ONNXD_ERR_FORMAT, "order to model '%s': its content is mangled", order->name);
    return ONNXD_OK;
}

/* Takes over the image, on failure too. */
static onnxd_status adopt(char *image, size_t n, bool is_mapped, struct admin_order **ret_order,
                          onnxd_error *err)
{
    struct admin_order *order = calloc(1, sizeof *order);
    if (order == NULL) {
        if (is_mapped)
            munmap(image, n);
        else
            free(image);
        return error_set(err, ONNXD_ERR_NOMEM, "order: out of memory");
    }
    atomic_init(&order->refs, 1);
    order->image = image;
    order->n_image = n;
    order->is_mapped = is_mapped;
    onnxd_status status = read_image(order, err);
    if (status == ONNXD_OK)
        *ret_order = order;
    else
        admin_order_unref(order);
    return status;
}

onnxd_status admin_order_from_bytes(const void *bytes, size_t n, struct admin_order **ret_order,
                                    onnxd_error *err)
{
    char *image = malloc(n + 1);
    if (image == NULL) return error_set(err, ONNXD_ERR_NOMEM, "order: out of memory");
    if (n > 0) memcpy(image, bytes, n);
    return adopt(image, n, false, ret_order, err);
}

onnxd_status admin_order_from_fd(int fd, struct admin_order **ret_order, onnxd_error *err)
{
    char *image;
    size_t n;
    onnxd_status status = sealed_file_map(fd, &image, &n, err);
    return status != ONNXD_OK ? status : adopt(image, n, true, ret_order, err);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

onnxd_status admin_order_create(enum admin_verb verb, const char *name, const char *config, size_t n_config,
                                const struct admin_file *files, uint32_t n_files,
                                struct admin_order **ret_order, onnxd_error *err)
{
    struct buf image;
    struct head head = {.magic = MAGIC,
                        .verb = verb,
                        .n_files = n_files,
                        .n_name = strlen(name),
                        .n_config = config != NULL ? n_config : NO_CONFIG};
    buf_init(&image, MAX_BYTES);
    buf_append(&image, &head, sizeof head);
    for (uint32_t i = 0; i < n_files; i++) {
        struct place place = {files[i].version, files[i].n};
        buf_append(&image, &place, sizeof place);
    }
    buf_append(&image, name, head.n_name + 1);
    if (config != NULL) {
        buf_append(&image, config, n_config);
        buf_append_char(&image, 0);
    }
    for (uint32_t i = 0; i < n_files; i++) buf_append(&image, files[i].bytes, files[i].n);
    if (image.failed) {
        buf_done(&image);
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
    }
    onnxd_status status = adopt(image.data, image.n, false, ret_order, err);
    if (status == ONNXD_ERR_FORMAT) /* the only way in which what was just written is at fault */
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "model '%.40s': a name of 1 to %d bytes, text without NUL and each version once are "
                         "expected",
                         name, ADMIN_ORDER_NAME_BYTES - 1);
    return status;
}

onnxd_status admin_order_to_fd(const struct admin_order *order, int *ret_fd, onnxd_error *err)
{
    return sealed_file_create(order->image, order->n_image, ret_fd, err);
}

struct admin_order *admin_order_ref(struct admin_order *order)
{
    atomic_fetch_add_explicit(&order->refs, 1, memory_order_relaxed);
    return order;
}

void admin_order_unref(struct admin_order *order)
{
    if (order == NULL || atomic_fetch_sub_explicit(&order->refs, 1, memory_order_acq_rel) > 1) return;
    if (order->is_mapped)
        munmap(order->image, order->n_image);
    else
        free(order->image);
    free(order->files);
    free(order);
}

bool admin_order_is_outdone(const struct admin_order *order, const struct admin_order *later)
{
    if (strcmp(order->name, later->name) != 0) return false;
    if (later->n_files == 0) return true; /* the model is out, or what the folder holds */
    if (order->n_files == 0) return false;
    for (uint32_t i = 0; i < order->n_files; i++)
        if (!has_version(later, order->files[i].version)) return false;
    return true;
}
