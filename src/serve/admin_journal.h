/* serve/admin_journal.h - the orders that made the repository what it is beyond its files, so that a process
 * that begins, or the program that takes over, can come to the same.
 *
 * Carried out in turn on a repository that has just read its files, they give what is served now. What a
 * later order outdoes is dropped, so that it does not grow with time: it holds one order for each model that
 * is out or has a configuration of its own, and one for each content that is served.
 *
 * Content stays in memory files: a process that is forked has them too, and one that is executed gets their
 * descriptors (serve/handover.h).
 *
 * Threads: any; a process that is forked has a copy, and no other thread may use it while that is done. */
#ifndef SERVE_ADMIN_JOURNAL_H
#define SERVE_ADMIN_JOURNAL_H

#include <pthread.h>

#include "serve/admin_order.h"

#define ADMIN_JOURNAL_MAX 256u /* each takes a file descriptor */

struct admin_journal {
    pthread_mutex_t lock;
    int fds[ADMIN_JOURNAL_MAX];
    struct admin_order *orders[ADMIN_JOURNAL_MAX];
    uint32_t n;
    uint64_t frozen_until_ns; /* 0: not */
};

void admin_journal_init(struct admin_journal *journal);
void admin_journal_clear(struct admin_journal *journal); /* closes the descriptors */
void admin_journal_done(struct admin_journal *journal);

/* Before an order is carried out: ONNXD_ERR_BUSY while the program is being replaced, ONNXD_ERR_LIMIT when it
 * would be too many. */
ONNXD_MUST_USE onnxd_status admin_journal_allows(struct admin_journal *journal,
                                                 const struct admin_order *order, uint64_t now_ns,
                                                 onnxd_error *err);

/* An order that is to be put in force, which nothing prevents now. `fd` is taken over. has_files: the
 * repository's folder, or a file of the command line, has versions of this model; an unloading of any other
 * is forgotten with what it undid. ONNXD_ERR_BUSY as above; ONNXD_ERR_LIMIT, ONNXD_ERR_FORMAT. */
ONNXD_MUST_USE onnxd_status admin_journal_add(struct admin_journal *journal, int fd, bool has_files,
                                              uint64_t now_ns, onnxd_error *err);

/* Fills fds with what a program that takes over needs (borrowed), and takes no order until `until_ns`: it
 * would be lost. Returns their number. */
uint32_t admin_journal_freeze(struct admin_journal *journal, uint64_t until_ns, int fds[ADMIN_JOURNAL_MAX]);

#endif
