/* serve/admin_journal.h - the orders that made the repository what it is beyond its files, so that a process
 * that begins, or the program that takes over, can come to the same.
 *
 * Carried out in turn on a repository that has just read its files, they give what is served now. What a
 * later order outdoes is dropped, so that it does not grow with time: it holds one order for each model that
 * is out or has a configuration of its own, and one for each content that is served.
 *
 * A process that is forked has a copy; a program that takes over gets one as a file in memory
 * (serve/handover.h).
 *
 * Threads: any; a process that is forked has a copy, and no other thread may use it while that is done. */
#ifndef SERVE_ADMIN_JOURNAL_H
#define SERVE_ADMIN_JOURNAL_H

#include <pthread.h>

#include "serve/admin_order.h"

#define ADMIN_JOURNAL_MAX 1024u

struct admin_journal {
    pthread_mutex_t lock;
    struct admin_order *orders[ADMIN_JOURNAL_MAX]; /* references */
    uint32_t n;
    uint64_t frozen_until_ns; /* 0: not */
};

void admin_journal_init(struct admin_journal *journal);
void admin_journal_clear(struct admin_journal *journal); /* forgets all */
void admin_journal_done(struct admin_journal *journal);

/* Before an order is carried out: ONNXD_ERR_BUSY while the program is being replaced, ONNXD_ERR_LIMIT when it
 * would be too many. */
ONNXD_MUST_USE onnxd_status admin_journal_allows(struct admin_journal *journal,
                                                 const struct admin_order *order, uint64_t now_ns,
                                                 onnxd_error *err);

/* An order that is to be put in force, which nothing prevents now; a reference is taken. has_files: the
 * repository's folder, or a file of the command line, has versions of this model; an unloading of any other
 * is forgotten with what it undid. ONNXD_ERR_BUSY as above; ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status admin_journal_add(struct admin_journal *journal, struct admin_order *order,
                                              bool has_files, uint64_t now_ns, onnxd_error *err);

/* For a program that takes over: a sealed file of all orders, which the caller closes, -1 when there are
 * none; and no order is taken until `until_ns`, which would be lost. ONNXD_ERR_IO, ONNXD_ERR_NOMEM: orders
 * are taken as before. */
ONNXD_MUST_USE onnxd_status admin_journal_hand_over(struct admin_journal *journal, uint64_t until_ns,
                                                    int *ret_fd, onnxd_error *err);
/* Orders are taken again. */
void admin_journal_thaw(struct admin_journal *journal);

/* In that program: adds what the file holds; the descriptor stays the caller's. ONNXD_ERR_FORMAT: it is
 * mangled, and what came before the fault is there. */
ONNXD_MUST_USE onnxd_status admin_journal_take(struct admin_journal *journal, int fd, onnxd_error *err);

#endif
