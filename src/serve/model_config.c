#include "serve/model_config.h"

#include "base/clock.h"
#include "base/error.h"
#include "json/json_reader.h"

static void read_choice(struct json_reader *r, const char *const *words, int n, int *ret)
{
    struct json_text text;
    if (!json_read_string(r, &text)) return;
    for (int i = 0; i < n; i++)
        if (json_text_is(&text, words[i])) {
            *ret = i;
            return;
        }
    json_fail(r, ONNXD_ERR_RANGE, "expected one of %s, %s%s%s", words[0], words[1], n > 2 ? ", " : "",
              n > 2 ? words[2] : "");
}

static uint64_t read_number(struct json_reader *r, uint64_t min, uint64_t max)
{
    uint64_t value = min;
    if (json_read_u64(r, &value) && (value < min || value > max))
        json_fail(r, ONNXD_ERR_RANGE, "expected a number from %llu to %llu", (unsigned long long)min,
                  (unsigned long long)max);
    return value;
}

static void read_preferred(struct json_reader *r, struct version_settings *settings)
{
    settings->n_preferred = 0;
    json_enter_array(r);
    while (json_next_element(r)) {
        uint64_t rows = read_number(r, 1, 65536);
        uint32_t n = settings->n_preferred;
        if (n == VERSION_MAX_PREFERRED)
            json_fail(r, ONNXD_ERR_LIMIT, "expected up to %d numbers", VERSION_MAX_PREFERRED);
        else if (n > 0 && rows <= settings->preferred[n - 1])
            json_fail(r, ONNXD_ERR_RANGE, "expected numbers that rise");
        else
            settings->preferred[settings->n_preferred++] = (uint32_t)rows;
    }
}

static void read_field(struct json_reader *r, const struct json_text *key, struct version_settings *settings)
{
    static const char *const engines[] = {"auto", "native", "onnxruntime"};
    static const char *const precisions[] = {"fp32", "bf16"};
    static const char *const places[] = {"auto", "loop", "threads"};
    int choice = 0;
    if (json_text_is(key, "engine")) {
        read_choice(r, engines, 3, &choice);
        settings->model.engine = (onnxd_engine)choice;
    } else if (json_text_is(key, "precision")) {
        read_choice(r, precisions, 2, &choice);
        settings->model.precision = (onnxd_precision)choice;
    } else if (json_text_is(key, "compute")) {
        read_choice(r, places, 3, &choice);
        settings->place = (enum version_place)choice;
    } else if (json_text_is(key, "max_batch")) {
        settings->max_batch = (uint32_t)read_number(r, 1, 65536);
    } else if (json_text_is(key, "max_queue_size")) {
        settings->max_queue_size = (uint32_t)read_number(r, 1, 1000000);
    } else if (json_text_is(key, "max_queue_delay_us")) {
        settings->max_queue_delay_ns = read_number(r, 0, 10000000) * NS_PER_US;
    } else if (json_text_is(key, "preferred_batch_sizes")) {
        read_preferred(r, settings);
    } else if (json_text_is(key, "warm_up_rows")) {
        settings->warm_up_rows = (uint32_t)read_number(r, 0, 65536);
    } else {
        json_fail(r, ONNXD_ERR_NOT_FOUND,
                  "unknown field: expected engine, precision, compute, max_batch, max_queue_size, "
                  "max_queue_delay_us, preferred_batch_sizes or warm_up_rows");
    }
}

onnxd_status model_config_read(const char *text, size_t n, struct version_settings *settings,
                               onnxd_error *err)
{
    struct version_settings read = *settings;
    struct json_reader r;
    struct json_text key;
    json_reader_init(&r, text, n, err);
    json_enter_object(&r);
    while (json_next_key(&r, &key)) read_field(&r, &key, &read);
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK) return status;
    if (read.n_preferred > 0 && read.preferred[read.n_preferred - 1] > read.max_batch)
        return error_set(err, ONNXD_ERR_RANGE, "preferred_batch_sizes: %u is more than max_batch = %u",
                         read.preferred[read.n_preferred - 1], read.max_batch);
    *settings = read;
    return ONNXD_OK;
}
