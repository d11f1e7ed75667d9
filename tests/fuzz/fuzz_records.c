/* Any bytes as a file of records. The first byte chooses the format. Faults have a message; what is learnt
 * turns the same records into rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ctr/record_reader.h"

static void fail_without_message(const onnxd_error *err)
{
    if (err->message[0] == 0) abort();
}

/* Learns; NULL when the records cannot be read. */
static struct feature_set *learn(const struct dataset_source *source, struct feature_plan *plan)
{
    struct feature_set *set = NULL;
    onnxd_error err = {0};
    if (dataset_learn(source, plan, &set, &err) != ONNXD_OK) fail_without_message(&err);
    return set;
}

static void read_again(const struct dataset_source *source, struct feature_plan *plan,
                       const struct feature_set *set)
{
    struct record_reader *reader = NULL;
    const struct field_value *record = NULL;
    onnxd_error err = {0};
    uint32_t n = feature_set_n_fields(set);
    struct field_value *fields = calloc(n, sizeof *fields);
    float *row = calloc(feature_set_n_columns(set), sizeof *row);
    if (record_reader_open(source, plan, set, &reader, &err) != ONNXD_OK) abort(); /* it was read before */
    while (record_reader_next(reader, &record, &err) == ONNXD_OK && record != NULL) {
        for (uint32_t i = 0; i < reader->n_names; i++) {
            uint32_t field = feature_set_find(set, reader->names[i], strlen(reader->names[i]));
            if (field != FEATURE_NO_FIELD) fields[field] = record[i];
        }
        err.message[0] = 0;
        if (feature_set_convert(set, fields, row, NULL, &err) != ONNXD_OK) fail_without_message(&err);
    }
    if (record != NULL) fail_without_message(&err);
    record_reader_close(reader);
    free(fields);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0) return 0;
    char path[64];
    const char *paths = path;
    onnxd_error err = {0};
    int fd = memfd_create("records", 0);
    if (fd < 0 || write(fd, bytes + 1, n - 1) != (ssize_t)(n - 1)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct dataset_source source = {.paths = &paths,
                                    .n_paths = 1,
                                    .format = (enum dataset_format)(bytes[0] % 5),
                                    .header = bytes[0] & 8 ? DATASET_HEADER_NO : DATASET_HEADER_AUTO,
                                    .separator = bytes[0] & 16 ? ", " : NULL,
                                    .max_line_bytes = 4096};
    struct feature_plan *plan = NULL;
    if (feature_plan_create(&plan, &err) != ONNXD_OK) abort();
    plan->other.role = bytes[0] & 32 ? PLAN_NUMBER : bytes[0] & 64 ? PLAN_CATEGORIES : PLAN_CATEGORY;
    plan->other.min_count = 1;
    plan->other.normal = PLAN_QUANTILE_LOG;
    struct feature_set *set = learn(&source, plan);
    if (set != NULL) read_again(&source, plan, set);
    feature_set_unref(set);
    feature_plan_free(plan);
    close(fd);
    return 0;
}
