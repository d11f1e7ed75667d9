#include "load/load_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const load_fault_names[LOAD_N_FAULTS] = {"connect", "read",  "write",
                                                     "timeout", "reply", "unsent"};

const struct load_quantile load_quantiles[LOAD_N_QUANTILES] = {
    {0.5, "p50"},  {0.75, "p75"},    {0.9, "p90"},      {0.95, "p95"},
    {0.99, "p99"}, {0.999, "p99.9"}, {0.9999, "p99.99"}};

uint64_t load_n_errors(const struct load_record *record)
{
    uint64_t n = 0;
    for (int i = 0; i < LOAD_N_FAULTS; i++) n += record->faults[i];
    for (int i = 400; i < LOAD_N_STATUS; i++) n += record->status[i];
    return n;
}

static uint64_t n_faults(const struct load_record *record)
{
    uint64_t n = 0;
    for (int i = 0; i < LOAD_N_FAULTS; i++) n += record->faults[i];
    return n;
}

double load_error_share(const struct load_record *record)
{
    uint64_t all = record->n_done + n_faults(record);
    return all == 0 ? 0 : (double)load_n_errors(record) / (double)all;
}

double load_rate(const struct load_result *result)
{
    uint64_t bad = load_n_errors(result->record) - n_faults(result->record);
    double seconds = result->elapsed_s + result->lag_s;
    return seconds > 0 ? (double)(result->record->n_done - bad) / seconds : 0;
}

double load_response_quantile(const struct load_result *r, double q)
{
    if (r->samples == NULL || r->n_samples == 0) return histogram_quantile(&r->record->response, q);
    double rank = ceil(q * (double)r->n_samples);
    uint64_t i = rank < 1 ? 0 : (uint64_t)rank - 1;
    return (double)load_sample_ns(r->samples[i < r->n_samples ? i : r->n_samples - 1]);
}

/* ---- records --------------------------------------------------------------------------------------- */

struct load_slot *load_record_slot(struct load_record *record, uint32_t target, uint16_t status)
{
    for (uint32_t i = 0; i < record->n_slots; i++)
        if (record->slots[i]->target == target && record->slots[i]->status == status) return record->slots[i];
    struct load_slot *slot = record->n_slots < LOAD_MAX_SLOTS ? calloc(1, sizeof *slot) : NULL;
    if (slot == NULL) return &record->rest;
    slot->target = target;
    slot->status = status;
    record->slots[record->n_slots++] = slot;
    return slot;
}

void load_record_sum(struct load_record *record)
{
    memset(record->status, 0, sizeof record->status);
    histogram_reset(&record->response);
    histogram_merge(&record->response, &record->rest.response);
    for (uint32_t i = 0; i < record->n_slots; i++) {
        histogram_merge(&record->response, &record->slots[i]->response);
        record->status[record->slots[i]->status] += record->slots[i]->response.n;
    }
}

void load_record_select(const struct load_record *record, uint32_t target, uint16_t status,
                        struct histogram *ret)
{
    histogram_reset(ret);
    for (uint32_t i = 0; i < record->n_slots; i++) {
        const struct load_slot *slot = record->slots[i];
        if ((target == UINT32_MAX || slot->target == target) && (status == 0 || slot->status == status))
            histogram_merge(ret, &slot->response);
    }
}

void load_record_merge(struct load_record *into, const struct load_record *from)
{
    histogram_merge(&into->service, &from->service);
    histogram_merge(&into->lateness, &from->lateness);
    histogram_merge(&into->rest.response, &from->rest.response);
    for (uint32_t i = 0; i < from->n_slots; i++)
        histogram_merge(&load_record_slot(into, from->slots[i]->target, from->slots[i]->status)->response,
                        &from->slots[i]->response);
    for (int i = 0; i < LOAD_N_FAULTS; i++) into->faults[i] += from->faults[i];
    for (int i = 0; i < LOAD_MAX_TARGETS; i++) into->target_faults[i] += from->target_faults[i];
    into->n_done += from->n_done;
    into->n_due += from->n_due;
    into->n_late += from->n_late;
    into->n_waited += from->n_waited;
    into->n_connects += from->n_connects;
    into->bytes_read += from->bytes_read;
    into->bytes_written += from->bytes_written;
    into->cpu_ns += from->cpu_ns;
    load_record_sum(into);
}

void load_record_free(struct load_record *record)
{
    for (uint32_t i = 0; record != NULL && i < record->n_slots; i++) free(record->slots[i]);
    free(record);
}

void load_result_done(struct load_result *result)
{
    load_record_free(result->record);
    free(result->samples);
    result->record = NULL;
    result->samples = NULL;
}
