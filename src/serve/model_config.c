#include "serve/model_config.h"

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

static void read_count(struct json_reader *r, uint64_t max, uint32_t *ret)
{
    uint64_t value;
    if (!json_read_u64(r, &value)) return;
    if (value < 1 || value > max)
        json_fail(r, ONNXD_ERR_RANGE, "expected a number from 1 to %llu", (unsigned long long)max);
    else
        *ret = (uint32_t)value;
}

onnxd_status model_config_read(const char *text, size_t n, struct version_settings *settings,
                               onnxd_error *err)
{
    static const char *const engines[] = {"auto", "native", "onnxruntime"};
    static const char *const precisions[] = {"fp32", "bf16"};
    struct version_settings read = *settings;
    int engine = (int)read.model.engine, precision = (int)read.model.precision;
    struct json_reader r;
    struct json_text key;
    json_reader_init(&r, text, n, err);
    json_enter_object(&r);
    while (json_next_key(&r, &key)) {
        if (json_text_is(&key, "engine"))
            read_choice(&r, engines, 3, &engine);
        else if (json_text_is(&key, "precision"))
            read_choice(&r, precisions, 2, &precision);
        else if (json_text_is(&key, "max_batch"))
            read_count(&r, 65536, &read.max_batch);
        else if (json_text_is(&key, "max_queue_size"))
            read_count(&r, 1000000, &read.max_queue_size);
        else
            json_fail(&r, ONNXD_ERR_NOT_FOUND,
                      "unknown field: expected engine, precision, max_batch or max_queue_size");
    }
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK) return status;
    read.model.engine = (onnxd_engine)engine;
    read.model.precision = (onnxd_precision)precision;
    *settings = read;
    return ONNXD_OK;
}
