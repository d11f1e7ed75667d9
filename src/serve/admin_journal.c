#include "serve/admin_journal.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"

void admin_journal_init(struct admin_journal *journal)
{
    memset(journal, 0, sizeof *journal);
    pthread_mutex_init(&journal->lock, NULL);
}

static void drop(struct admin_journal *journal, uint32_t i)
{
    close(journal->fds[i]);
    admin_order_free(journal->orders[i]);
    journal->n--;
    memmove(journal->fds + i, journal->fds + i + 1, (journal->n - i) * sizeof *journal->fds);
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
        status = error_set(err, ONNXD_ERR_LIMIT,
                           "at most %u models and versions may be changed by request; unload some",
                           ADMIN_JOURNAL_MAX);
    pthread_mutex_unlock(&journal->lock);
    return status;
}

/* Whether it says more than the files do. */
static bool is_worth_keeping(const struct admin_order *order, bool has_files)
{
    return order->n_files > 0 || (has_files && (order->verb == ADMIN_UNLOAD || order->config != NULL));
}

onnxd_status admin_journal_add(struct admin_journal *journal, int fd, bool has_files, uint64_t now_ns,
                               onnxd_error *err)
{
    struct admin_order *order = NULL;
    onnxd_status status = admin_order_from_fd(fd, &order, err);
    pthread_mutex_lock(&journal->lock);
    if (status == ONNXD_OK && now_ns < journal->frozen_until_ns) status = refuse_frozen(err);
    for (uint32_t i = journal->n; status == ONNXD_OK && i-- > 0;)
        if (admin_order_is_outdone(journal->orders[i], order)) drop(journal, i);
    bool keeps = status == ONNXD_OK && is_worth_keeping(order, has_files);
    if (keeps && journal->n == ADMIN_JOURNAL_MAX) {
        status = error_set(err, ONNXD_ERR_LIMIT, "more than %u orders are to be kept", ADMIN_JOURNAL_MAX);
    } else if (keeps) {
        journal->fds[journal->n] = fd;
        journal->orders[journal->n++] = order;
        fd = -1;
        order = NULL;
    }
    pthread_mutex_unlock(&journal->lock);
    admin_order_free(order);
    if (fd >= 0) close(fd);
    return status;
}

uint32_t admin_journal_freeze(struct admin_journal *journal, uint64_t until_ns, int fds[ADMIN_JOURNAL_MAX])
{
    pthread_mutex_lock(&journal->lock);
    uint32_t n = journal->n;
    memcpy(fds, journal->fds, n * sizeof *fds);
    journal->frozen_until_ns = until_ns;
    pthread_mutex_unlock(&journal->lock);
    return n;
}
