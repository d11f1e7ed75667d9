/* load/load_recorder.h - what one thread of a load run notes down about every request.
 *
 * A reply is counted in the interval in which it came, in the histogram of its target and status, and, while
 * there is room, as an exact sample. An open loop counts the requests that were due within the measured time,
 * a closed one those that ended in it.
 *
 * Ownership: load_recorder_done frees. Threads: written by one; n_whole and n_done_now may be read by others.
 */
#ifndef LOAD_LOAD_RECORDER_H
#define LOAD_LOAD_RECORDER_H

#include <stdatomic.h>

#include "load/load_result.h"

struct load_course { /* one interval of one thread */
    uint64_t n, n_errors;
    struct histogram response;
};

struct load_sent { /* a request under way */
    uint64_t due_ns, sent_ns;
    uint32_t target;
};

struct load_recorder {
    bool open;
    uint64_t start_ns, end_ns; /* of the measured time */
    uint64_t interval_ns;
    uint32_t n_intervals;
    uint64_t last_reply_ns; /* of a request that counts */

    struct load_record *record;
    struct load_slot *slot;     /* of record: the one used last */
    struct load_course *course; /* [n_intervals] */
    uint64_t *samples;          /* [max_samples] see load_sample_pack */
    uint64_t n_samples, max_samples;
    bool lost_samples; /* there were more */

    _Atomic uint32_t n_whole;    /* intervals of `course` that will not change any more */
    _Atomic uint64_t n_done_now; /* replies so far, warm-up included */
};

/* The fields above `record` are the caller's to set, and max_samples; then this. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status load_recorder_init(struct load_recorder *recorder, onnxd_error *err);
void load_recorder_done(struct load_recorder *recorder); /* takes a zeroed one */

void load_recorder_reply(struct load_recorder *r, const struct load_sent *sent, uint16_t status,
                         uint64_t now_ns);
void load_recorder_fault(struct load_recorder *r, enum load_fault fault, uint32_t target, uint64_t due_ns,
                         uint64_t now_ns);

/* A request fell due: it found a free connection, and is sent now, or it waits. */
void load_recorder_due(struct load_recorder *r, uint64_t due_ns, uint64_t now_ns, bool waits);

/* No more will come. */
void load_recorder_finish(struct load_recorder *r, uint64_t cpu_ns);

#endif
