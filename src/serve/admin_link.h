/* serve/admin_link.h - the end of a serving process: its orders go to the supervisor, which brings them and
 * those of the others to all processes (serve/admin_relay.h).
 *
 * A thread of its own waits for both, so that neither the serving threads nor the one that loads wait for
 * other processes.
 *
 * Threads: create, stop and free from one; submit from any. */
#ifndef SERVE_ADMIN_LINK_H
#define SERVE_ADMIN_LINK_H

#include "serve/repository.h"

struct admin_link;

/* `fd` and `repository` are borrowed until admin_link_free. ONNXD_ERR_NOMEM, ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status admin_link_create(int fd, struct repository *repository,
                                              struct admin_link **ret_link, onnxd_error *err);

/* Has the job's order carried out by all processes; job->done is called on a thread of the link's, with what
 * came of it. ONNXD_ERR_BUSY: too many wait (the job stays the caller's). */
ONNXD_MUST_USE onnxd_status admin_link_submit(struct admin_link *link, struct repository_job *job,
                                              onnxd_error *err);

/* Ends the thread: before the repository is freed, and admin_link_free after that. Both take NULL. */
void admin_link_stop(struct admin_link *link);
void admin_link_free(struct admin_link *link);

#endif
