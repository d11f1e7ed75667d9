#include "load/load_result.h"

#include <stdlib.h>

const char *const load_fault_names[LOAD_N_FAULTS] = {"connect", "read",  "write",
                                                     "timeout", "reply", "unsent"};

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

void load_record_merge(struct load_record *into, const struct load_record *from)
{
    histogram_merge(&into->response, &from->response);
    histogram_merge(&into->service, &from->service);
    histogram_merge(&into->lateness, &from->lateness);
    for (int i = 0; i < LOAD_N_STATUS; i++) into->status[i] += from->status[i];
    for (int i = 0; i < LOAD_N_FAULTS; i++) into->faults[i] += from->faults[i];
    into->n_done += from->n_done;
    into->n_due += from->n_due;
    into->n_late += from->n_late;
    into->n_waited += from->n_waited;
    into->n_connects += from->n_connects;
    into->bytes_read += from->bytes_read;
    into->bytes_written += from->bytes_written;
    into->cpu_ns += from->cpu_ns;
}

void load_result_done(struct load_result *result)
{
    free(result->record);
    result->record = NULL;
}
