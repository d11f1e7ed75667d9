#include "serve/admin_journal.h"

#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/error.h"
#include "serve/sealed_file.h"

void admin_journal_init(struct admin_journal *journal)
{
    memset(journal, 0, sizeof *journal);
    pthread_mutex_init(&journal->lock, NULL);
}

static void drop(struct admin_journal *journal, uint32_t i)
{
    admin_order_unref(journal->orders[i]);
    journal->n--;
    memmove(journal->orders + i, journal->orders + i + 1, (journal->n - i) * sizeof(struct admin_order *));
}

void admin_journal_clear(struct admin_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    while (journal->n > 0) drop(journal, journal->n - 1);
    pthread_mutex_unlock(&journal->lock);
}

void admin_journal_done(struct admin_journal *journal)
{
    admin_journal_clear(journal);
    pthread_mutex_destroy(&journal->lock);
}

static onnxd_status refuse_frozen(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_BUSY, "the program is being replaced; ask the new one");
}

static onnxd_status refuse_more(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_LIMIT,
                     "at most %u models and versions may be changed by request; unload some",
                     ADMIN_JOURNAL_MAX);
}

onnxd_status admin_journal_allows(struct admin_journal *journal, const struct admin_order *order,
                                  uint64_t now_ns, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    pthread_mutex_lock(&journal->lock);
    uint32_t n = 0;
    for (uint32_t i = 0; i < journal->n; i++) n += !admin_order_is_outdone(journal->orders[i], order);
    if (now_ns < journal->frozen_until_ns)
        status = refuse_frozen(err);
    else if (n >= ADMIN_JOURNAL_MAX)
        status = refuse_more(err);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

/* Whether it says more than the files do. */
static bool is_worth_keeping(const struct admin_order *order, bool has_files)
{
    return order->n_files > 0 || (has_files && (order->verb == ADMIN_UNLOAD || order->config != NULL));
}

onnxd_status admin_journal_add(struct admin_journal *journal, struct admin_order *order, bool has_files,
                               uint64_t now_ns, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    pthread_mutex_lock(&journal->lock);
    if (now_ns < journal->frozen_until_ns) status = refuse_frozen(err);
    for (uint32_t i = journal->n; status == ONNXD_OK && i-- > 0;)
        if (admin_order_is_outdone(journal->orders[i], order)) drop(journal, i);
    bool keeps = status == ONNXD_OK && is_worth_keeping(order, has_files);
    if (keeps && journal->n == ADMIN_JOURNAL_MAX)
        status = refuse_more(err);
    else if (keeps)
        journal->orders[journal->n++] = admin_order_ref(order);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

/* ---- from program to program: each order's length, then itself ---------------------------------------- */

onnxd_status admin_journal_hand_over(struct admin_journal *journal, uint64_t until_ns, int *ret_fd,
                                     onnxd_error *err)
{
    struct buf all;
    int fd = -1;
    onnxd_status status = ONNXD_OK;
    buf_init(&all, SIZE_MAX / 4);
    pthread_mutex_lock(&journal->lock);
    for (uint32_t i = 0; i < journal->n; i++) {
        const struct admin_order *order = journal->orders[i];
        uint64_t n = order->n_image;
        buf_append(&all, &n, sizeof n);
        buf_append(&all, order->image, order->n_image);
    }
    if (all.failed)
        status = error_set(err, ONNXD_ERR_NOMEM, "orders: out of memory");
    else if (all.n > 0)
        status = sealed_file_create(all.data, all.n, &fd, err);
    if (status == ONNXD_OK) journal->frozen_until_ns = until_ns;
    pthread_mutex_unlock(&journal->lock);
    buf_done(&all);
    if (status == ONNXD_OK) *ret_fd = fd;
    return status;
}

void admin_journal_thaw(struct admin_journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    journal->frozen_until_ns = 0;
    pthread_mutex_unlock(&journal->lock);
}

static onnxd_status take_one(struct admin_journal *journal, const char *image, size_t n, onnxd_error *err)
{
    struct admin_order *order = NULL;
    onnxd_status status = admin_order_from_bytes(image, n, &order, err);
    if (status == ONNXD_OK) status = admin_journal_add(journal, order, true, 0, err);
    admin_order_unref(order);
    return status;
}

onnxd_status admin_journal_take(struct admin_journal *journal, int fd, onnxd_error *err)
{
    char *bytes;
    size_t n_bytes, at = 0;
    uint64_t n = 0;
    onnxd_status status = sealed_file_map(fd, &bytes, &n_bytes, err);
    if (status != ONNXD_OK) return status;
    while (status == ONNXD_OK && at < n_bytes) {
        if (n_bytes - at >= sizeof n) memcpy(&n, bytes + at, sizeof n);
        if (n_bytes - at < sizeof n || n > n_bytes - at - sizeof n) {
            status = error_set(err, ONNXD_ERR_FORMAT, "orders of the program before: mangled");
            break;
        }
        status = take_one(journal, bytes + at + sizeof n, (size_t)n, err);
        at += sizeof n + (size_t)n;
    }
    munmap(bytes, n_bytes);
    return status;
}
