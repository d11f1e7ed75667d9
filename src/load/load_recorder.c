#include "load/load_recorder.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"

#define LATE_NS NS_PER_MS

onnxd_status load_recorder_init(struct load_recorder *r, onnxd_error *err)
{
    r->record = calloc(1, sizeof *r->record);
    r->course = calloc(r->n_intervals, sizeof *r->course);
    if (r->max_samples > 0) r->samples = malloc(r->max_samples * sizeof *r->samples);
    if (r->record == NULL || r->course == NULL || (r->max_samples > 0 && r->samples == NULL)) {
        load_recorder_done(r);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the record of a load thread");
    }
    return ONNXD_OK;
}

void load_recorder_done(struct load_recorder *r)
{
    load_record_free(r->record);
    free(r->course);
    free(r->samples);
    r->record = NULL;
    r->course = NULL;
    r->samples = NULL;
}

static bool is_measured(const struct load_recorder *r, uint64_t at_ns)
{
    return at_ns >= r->start_ns && at_ns < r->end_ns;
}

static bool counts(const struct load_recorder *r, uint64_t due_ns, uint64_t now_ns)
{
    return is_measured(r, r->open ? due_ns : now_ns);
}

/* The interval a time falls into; n_intervals when it is outside the measured time. */
static uint32_t interval_at(struct load_recorder *r, uint64_t now_ns)
{
    if (now_ns < r->start_ns) return r->n_intervals;
    uint64_t i = (now_ns - r->start_ns) / r->interval_ns;
    if (i > r->n_intervals) i = r->n_intervals;
    if (i > atomic_load_explicit(&r->n_whole, memory_order_relaxed))
        atomic_store_explicit(&r->n_whole, (uint32_t)i, memory_order_release);
    return (uint32_t)i;
}

static void keep_sample(struct load_recorder *r, uint64_t response_ns, uint32_t interval)
{
    if (r->n_samples == r->max_samples) {
        r->lost_samples = true;
        return;
    }
    if (interval >= r->n_intervals) interval = r->n_intervals - 1; /* due in time, answered after it */
    r->samples[r->n_samples++] = load_sample_pack(response_ns, interval);
}

void load_recorder_reply(struct load_recorder *r, const struct load_sent *sent, uint16_t status,
                         uint64_t now_ns)
{
    uint64_t n_done = atomic_load_explicit(&r->n_done_now, memory_order_relaxed); /* written here alone */
    atomic_store_explicit(&r->n_done_now, n_done + 1, memory_order_relaxed);
    uint32_t interval = interval_at(r, now_ns);
    uint64_t response_ns = now_ns - sent->due_ns;
    if (interval < r->n_intervals) {
        struct load_course *course = &r->course[interval];
        course->n++;
        course->n_errors += status >= 400;
        histogram_record(&course->response, response_ns);
    }
    if (!counts(r, sent->due_ns, now_ns)) return;
    r->last_reply_ns = now_ns;
    r->record->n_done++;
    if (r->slot == NULL || r->slot->status != status || r->slot->target != sent->target)
        r->slot = load_record_slot(r->record, sent->target, status);
    histogram_record(&r->slot->response, response_ns);
    if (r->open) histogram_record(&r->record->service, now_ns - sent->sent_ns);
    keep_sample(r, response_ns, interval);
}

void load_recorder_fault(struct load_recorder *r, enum load_fault fault, uint32_t target, uint64_t due_ns,
                         uint64_t now_ns)
{
    uint32_t interval = interval_at(r, now_ns);
    if (interval < r->n_intervals) r->course[interval].n_errors++;
    if (!counts(r, due_ns, now_ns)) return;
    r->record->faults[fault]++;
    r->record->target_faults[target]++;
}

/* Where a connection was free, what is late is the client's own doing. */
void load_recorder_due(struct load_recorder *r, uint64_t due_ns, uint64_t now_ns, bool waits)
{
    if (!is_measured(r, due_ns)) return;
    r->record->n_due++;
    if (waits) {
        r->record->n_waited++;
        return;
    }
    histogram_record(&r->record->lateness, now_ns - due_ns);
    r->record->n_late += now_ns - due_ns > LATE_NS;
}

void load_recorder_finish(struct load_recorder *r, uint64_t cpu_ns)
{
    r->record->cpu_ns = cpu_ns;
    load_record_sum(r->record);
    atomic_store(&r->n_whole, r->n_intervals);
}
