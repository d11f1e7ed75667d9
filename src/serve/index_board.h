/* serve/index_board.h - the models of all processes, in memory that they share: each shows its own, any can
 * tell about all.
 *
 * Made before processes are forked. One that is away (it died, or has not loaded its models yet) does not
 * count.
 *
 * Threads: any, of any process. */
#ifndef SERVE_INDEX_BOARD_H
#define SERVE_INDEX_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/version.h"

#define INDEX_MAX_ENTRIES 1024u

enum repository_state { REPOSITORY_READY, REPOSITORY_LOADING, REPOSITORY_UNAVAILABLE };

struct repository_entry { /* as the index tells it */
    char name[VERSION_NAME_BYTES];
    uint64_t version;
    enum repository_state state;
    char reason[ONNXD_ERROR_MESSAGE_BYTES];
};

struct index_board;

ONNXD_MUST_USE onnxd_status index_board_create(uint32_t n_processes, struct index_board **ret_board,
                                               onnxd_error *err);
void index_board_free(struct index_board *board); /* unmaps it here; takes NULL */

/* Entry i of the process's n. */
void index_board_show(struct index_board *board, uint32_t process, uint32_t i, uint32_t n,
                      const struct repository_entry *entry);
/* It has n entries now. */
void index_board_cut(struct index_board *board, uint32_t process, uint32_t n);

/* Whether the process counts. One that goes away has no entries afterwards. */
void index_board_present(struct index_board *board, uint32_t process, bool is_present);

/* Fills out[max] with what holds of all processes; returns how many. Ready is what is ready in each; of what
 * is not, the reason names a process. */
uint32_t index_board_read(struct index_board *board, struct repository_entry *out, uint32_t max);

#endif
