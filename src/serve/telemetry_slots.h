/* serve/telemetry_slots.h - which model version has which series, in memory that all processes share. Private
 * to telemetry*.c.
 *
 * A slot is a set of series. It belongs to the version that was given it for as long as any process holds
 * that version, and after that until another version needs it: the one that nobody has held for longest goes
 * first. Then its cells, which nobody writes any more, are zeroed and its series get the new version's
 * labels.
 *
 * Threads: any, of any process. */
#ifndef SERVE_TELEMETRY_SLOTS_H
#define SERVE_TELEMETRY_SLOTS_H

#include <pthread.h>

#include "serve/telemetry.h"

struct model_slot {
    char name[TELEMETRY_NAME_BYTES]; /* empty: of no version */
    uint64_t version;
    uint64_t held; /* order in which slots were held last */
    struct telemetry_model series;
};

struct field_slot {
    uint32_t model; /* TELEMETRY_NO_SLOT: of none */
    struct metric unknown;
};

struct telemetry_slots {
    pthread_mutex_t lock; /* shared by processes, robust */
    uint32_t n_models, n_fields, n_processes;
    uint64_t n_holds;
    uint64_t gone_rows, gone_runs; /* of versions whose series were taken from them */
    struct model_slot models[TELEMETRY_MAX_MODELS];
    struct field_slot fields[TELEMETRY_MAX_FIELDS];
    uint32_t holders[][TELEMETRY_MAX_MODELS]; /* [n_processes] */
};

size_t telemetry_slots_bytes(uint32_t n_processes);
void telemetry_slots_init(struct telemetry_slots *slots, uint32_t n_processes);
void telemetry_slots_lock(struct telemetry_slots *slots);
void telemetry_slots_unlock(struct telemetry_slots *slots);

/* A process that begins holds nothing, whatever the one before it held. */
void telemetry_slots_forget(struct telemetry_slots *slots, uint32_t process);

#define TELEMETRY_MODEL_SERIES (6u + 2u * N_STAGES + N_FAIL_REASONS)

extern const char *const telemetry_fail_names[N_FAIL_REASONS];

/* Registers the series of a model, in telemetry.c. */
ONNXD_MUST_USE onnxd_status telemetry_register_model(struct metrics *m, const char *name, uint64_t version,
                                                     struct telemetry_model *ret, onnxd_error *err);

#endif
