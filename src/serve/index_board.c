#include "serve/index_board.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

struct side {             /* of one process */
    pthread_mutex_t lock; /* shared by processes, robust */
    bool is_present;
    uint32_t n;
    struct repository_entry entries[INDEX_MAX_ENTRIES];
};

struct index_board {
    size_t n_bytes;
    uint32_t n_processes;
    struct side sides[];
};

onnxd_status index_board_create(uint32_t n_processes, struct index_board **ret_board, onnxd_error *err)
{
    size_t n = sizeof(struct index_board) +
               n_processes * sizeof(struct side); /* pages come when written to */
    struct index_board *board = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) return error_set(err, ONNXD_ERR_NOMEM, "index of models: out of memory");
    board->n_bytes = n;
    board->n_processes = n_processes;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    for (uint32_t i = 0; i < n_processes; i++) pthread_mutex_init(&board->sides[i].lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    *ret_board = board;
    return ONNXD_OK;
}

void index_board_free(struct index_board *board)
{
    if (board != NULL) munmap(board, board->n_bytes);
}

static void lock(struct side *side)
{
    if (pthread_mutex_lock(&side->lock) == EOWNERDEAD) pthread_mutex_consistent(&side->lock);
}

void index_board_show(struct index_board *board, uint32_t process, uint32_t i, uint32_t n,
                      const struct repository_entry *entry)
{
    struct side *side = &board->sides[process];
    lock(side);
    if (i < INDEX_MAX_ENTRIES) side->entries[i] = *entry;
    side->n = n < INDEX_MAX_ENTRIES ? n : INDEX_MAX_ENTRIES;
    pthread_mutex_unlock(&side->lock);
}

void index_board_cut(struct index_board *board, uint32_t process, uint32_t n)
{
    struct side *side = &board->sides[process];
    lock(side);
    if (n < side->n) side->n = n;
    pthread_mutex_unlock(&side->lock);
}

void index_board_present(struct index_board *board, uint32_t process, bool is_present)
{
    struct side *side = &board->sides[process];
    lock(side);
    side->is_present = is_present;
    if (!is_present) side->n = 0;
    pthread_mutex_unlock(&side->lock);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

struct note {                 /* about a merged entry */
    uint32_t n_seen, process; /* processes that have it; the one whose reason is told */
    bool differs;             /* from process to process */
};

struct merge {
    struct repository_entry *out;
    struct note *notes;
    uint32_t n, max;
};

/* Processes read the same files, so that entries mostly stand at the same place. */
static uint32_t place_of(const struct merge *merge, const struct repository_entry *entry, uint32_t i)
{
    for (uint32_t k = 0; k <= merge->n; k++) {
        uint32_t at = k == 0 ? i : k - 1;
        if (at < merge->n && merge->out[at].version == entry->version &&
            strcmp(merge->out[at].name, entry->name) == 0)
            return at;
    }
    return merge->n;
}

static void merge_side(struct merge *merge, const struct side *side, uint32_t process)
{
    for (uint32_t i = 0; i < side->n; i++) {
        const struct repository_entry *entry = &side->entries[i];
        uint32_t at = place_of(merge, entry, i);
        struct repository_entry *out = &merge->out[at];
        struct note *note = &merge->notes[at];
        if (at == merge->n) {
            if (merge->n == merge->max) continue;
            merge->n++;
            *out = *entry;
            *note = (struct note){1, process, false};
            continue;
        }
        note->n_seen++;
        if (entry->state == out->state && strcmp(entry->reason, out->reason) == 0) continue;
        note->differs = true;
        if (entry->state < out->state || (entry->state == out->state && entry->reason[0] == 0)) continue;
        *out = *entry;
        note->process = process;
    }
}

static void finish(struct repository_entry *out, const struct note *note, uint32_t n_present)
{
    char reason[sizeof out->reason];
    if (note->n_seen < n_present && out->state != REPOSITORY_UNAVAILABLE) {
        out->state = REPOSITORY_UNAVAILABLE;
        snprintf(out->reason, sizeof out->reason, "%u of %u processes have it", note->n_seen, n_present);
    } else if (note->differs && out->reason[0] != 0) {
        memcpy(reason, out->reason, sizeof reason);
        snprintf(out->reason, sizeof out->reason, "process %u: %.480s", note->process, reason);
    }
}

uint32_t index_board_read(struct index_board *board, struct repository_entry *out, uint32_t max)
{
    struct note notes[INDEX_MAX_ENTRIES + 1];
    struct merge merge = {out, notes, 0, max < INDEX_MAX_ENTRIES ? max : INDEX_MAX_ENTRIES};
    uint32_t n_present = 0;
    for (uint32_t p = 0; p < board->n_processes; p++) {
        struct side *side = &board->sides[p];
        lock(side);
        if (side->is_present) merge_side(&merge, side, p);
        n_present += side->is_present;
        pthread_mutex_unlock(&side->lock);
    }
    for (uint32_t i = 0; i < merge.n; i++) finish(&out[i], &notes[i], n_present);
    return merge.n;
}
