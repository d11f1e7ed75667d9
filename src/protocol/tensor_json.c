#include "protocol/tensor_json.h"

#include <math.h>
#include <string.h>

#include "tensor/dtype.h"

bool tensor_json_supports(onnxd_type type)
{
    switch (type) {
    case ONNXD_FLOAT32:
    case ONNXD_FLOAT64:
    case ONNXD_FLOAT16:
    case ONNXD_BFLOAT16:
    case ONNXD_INT8:
    case ONNXD_INT16:
    case ONNXD_INT32:
    case ONNXD_INT64:
    case ONNXD_UINT8:
    case ONNXD_UINT16:
    case ONNXD_UINT32:
    case ONNXD_UINT64:
    case ONNXD_BOOL:
    case ONNXD_STRING: return true;
    default: return false;
    }
}

/* ---- reading --------------------------------------------------------------------------------------- */

static bool read_signed(struct json_reader *r, onnxd_type type, size_t size, void *out)
{
    int64_t value, max = (int64_t)(UINT64_MAX >> (65 - 8 * size));
    if (!json_read_i64(r, &value)) return false;
    if (value > max || value < -max - 1)
        return json_fail(r, ONNXD_ERR_RANGE, "%lld is out of the range of %s (%lld..%lld)", (long long)value,
                         onnxd_type_name(type), (long long)(-max - 1), (long long)max);
    memcpy(out, &value, size); /* little-endian */
    return true;
}

static bool read_unsigned(struct json_reader *r, onnxd_type type, size_t size, void *out)
{
    uint64_t value, max = UINT64_MAX >> (64 - 8 * size);
    if (!json_read_u64(r, &value)) return false;
    if (value > max)
        return json_fail(r, ONNXD_ERR_RANGE, "%llu is out of the range of %s (0..%llu)",
                         (unsigned long long)value, onnxd_type_name(type), (unsigned long long)max);
    memcpy(out, &value, size);
    return true;
}

static bool read_half(struct json_reader *r, onnxd_type type, void *out)
{
    float value;
    if (!json_read_f32(r, &value)) return false;
    uint16_t bits = type == ONNXD_FLOAT16 ? f16_of_f32(value) : bf16_of_f32(value);
    if (isinf(type == ONNXD_FLOAT16 ? f32_of_f16(bits) : f32_of_bf16(bits)))
        return json_fail(r, ONNXD_ERR_RANGE, "%g is beyond the range of %s", (double)value,
                         onnxd_type_name(type));
    memcpy(out, &bits, sizeof bits);
    return true;
}

static bool read_text(struct json_reader *r, struct arena *strings, onnxd_string *out)
{
    struct json_text text;
    if (!json_read_string(r, &text)) return false;
    *out = (onnxd_string){text.raw, text.n_raw};
    if (!text.escaped) return true;
    char *decoded = strings != NULL ? arena_alloc(strings, text.n_raw) : NULL;
    if (decoded == NULL) return json_fail(r, ONNXD_ERR_LIMIT, "no room for the strings of this request");
    *out = (onnxd_string){decoded, json_text_decode(&text, decoded)};
    return true;
}

static bool read_element(struct json_reader *r, onnxd_type type, void *out, struct arena *strings)
{
    switch (type) {
    case ONNXD_FLOAT32: return json_read_f32(r, out);
    case ONNXD_FLOAT64: return json_read_f64(r, out);
    case ONNXD_FLOAT16:
    case ONNXD_BFLOAT16: return read_half(r, type, out);
    case ONNXD_INT8:
    case ONNXD_INT16:
    case ONNXD_INT32:
    case ONNXD_INT64: return read_signed(r, type, onnxd_type_size(type), out);
    case ONNXD_UINT8:
    case ONNXD_UINT16:
    case ONNXD_UINT32:
    case ONNXD_UINT64: return read_unsigned(r, type, onnxd_type_size(type), out);
    case ONNXD_BOOL: {
        bool value;
        if (!json_read_bool(r, &value)) return false;
        *(uint8_t *)out = value;
        return true;
    }
    case ONNXD_STRING: return read_text(r, strings, out);
    default: return json_fail(r, ONNXD_ERR_UNSUPPORTED, "type %s has no JSON form", onnxd_type_name(type));
    }
}

/* "15 numbers", "1 string" */
static const char *elements_name(onnxd_type type, bool one)
{
    if (type == ONNXD_STRING) return one ? "string" : "strings";
    if (type == ONNXD_BOOL) return one ? "truth value" : "truth values";
    return one ? "number" : "numbers";
}

/* Counts what is left of the array, for the message. `n` of its elements were read. */
static bool check_count(struct json_reader *r, uint64_t n, uint64_t expected, const char *what)
{
    if (r->status != ONNXD_OK) return false;
    if (n < expected)
        return json_fail(r, ONNXD_ERR_SHAPE, "expected %llu %s, got %llu", (unsigned long long)expected, what,
                         (unsigned long long)n);
    if (!json_next_element(r)) return r->status == ONNXD_OK;
    struct json_reader place = *r;
    place.err = NULL;
    do {
        json_skip(&place);
        n++;
    } while (json_next_element(&place));
    /* The path of the message is the array's, not that of its first element too many. */
    r->levels[--r->depth].n = 0;
    return json_fail(r, ONNXD_ERR_SHAPE, "expected %llu %s, got %llu", (unsigned long long)expected, what,
                     (unsigned long long)n);
}

static bool read_flat(struct json_reader *r, onnxd_type type, uint64_t n_expected, char *out,
                      struct arena *strings)
{
    if (!json_enter_array(r)) return false;
    uint64_t n = 0;
    if (type == ONNXD_FLOAT32) {
        n = json_read_f32_elements(r, (float *)(void *)out, n_expected);
    } else {
        size_t size = onnxd_type_size(type);
        while (n < n_expected && json_next_element(r)) {
            if (!read_element(r, type, out + n * size, strings)) return false;
            n++;
        }
    }
    return check_count(r, n, n_expected, elements_name(type, n_expected == 1));
}

/* At most ONNXD_MAX_RANK deep. `bytes` is the size of one entry of dims[0]. */
static bool read_nested(struct json_reader *r, onnxd_type type, const int64_t *dims, uint32_t rank,
                        size_t bytes, char *out, struct arena *strings)
{
    if (rank == 1) return read_flat(r, type, (uint64_t)dims[0], out, strings);
    if (!json_enter_array(r)) return false;
    uint64_t n = 0;
    size_t inner = dims[1] > 0 ? bytes / (size_t)dims[1] : 0;
    while (n < (uint64_t)dims[0] && json_next_element(r)) {
        if (!read_nested(r, type, dims + 1, rank - 1, inner, out + n * bytes, strings)) return false;
        n++;
    }
    return check_count(r, n, (uint64_t)dims[0], dims[0] == 1 ? "array" : "arrays");
}

static bool is_nested(const struct json_reader *r)
{
    int brackets = 0;
    for (const char *at = r->at; at < r->end && brackets < 2; at++) {
        if (*at == '[')
            brackets++;
        else if (*at != ' ' && *at != '\t' && *at != '\n' && *at != '\r')
            return false;
    }
    return brackets == 2;
}

bool tensor_json_read(struct json_reader *r, onnxd_type type, const int64_t *dims, uint32_t rank, void *out,
                      struct arena *strings)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < rank; d++) n *= (uint64_t)dims[d];
    if (n == 1 && json_peek(r) != JSON_ARRAY) return read_element(r, type, out, strings);
    if (rank < 2 || !is_nested(r)) return read_flat(r, type, n, out, strings);
    size_t bytes = dims[0] > 0 ? n / (uint64_t)dims[0] * onnxd_type_size(type) : 0;
    return read_nested(r, type, dims, rank, bytes, out, strings);
}

/* ---- writing --------------------------------------------------------------------------------------- */

static int64_t load_signed(const char *at, size_t size)
{
    int64_t value = 0;
    memcpy(&value, at, size);
    return (int64_t)((uint64_t)value << (64 - 8 * size)) >> (64 - 8 * size);
}

static uint64_t load_unsigned(const char *at, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

static void write_element(struct json_writer *w, onnxd_type type, size_t size, const char *at)
{
    switch (type) {
    case ONNXD_FLOAT64: {
        double value;
        memcpy(&value, at, sizeof value);
        json_f64(w, value);
        break;
    }
    case ONNXD_FLOAT16: json_f32(w, f32_of_f16((uint16_t)load_unsigned(at, 2))); break;
    case ONNXD_BFLOAT16: json_f32(w, f32_of_bf16((uint16_t)load_unsigned(at, 2))); break;
    case ONNXD_INT8:
    case ONNXD_INT16:
    case ONNXD_INT32:
    case ONNXD_INT64: json_i64(w, load_signed(at, size)); break;
    case ONNXD_UINT8:
    case ONNXD_UINT16:
    case ONNXD_UINT32:
    case ONNXD_UINT64: json_u64(w, load_unsigned(at, size)); break;
    case ONNXD_BOOL: json_bool(w, *at != 0); break;
    case ONNXD_STRING: {
        onnxd_string text;
        memcpy(&text, at, sizeof text);
        json_string_n(w, text.data, text.len);
        break;
    }
    default: json_null(w); break;
    }
}

void tensor_json_write_elements(struct json_writer *w, onnxd_type type, const void *data, size_t n)
{
    if (type == ONNXD_FLOAT32) {
        const float *values = data;
        for (size_t i = 0; i < n; i++) json_f32(w, values[i]);
        return;
    }
    size_t size = onnxd_type_size(type);
    for (size_t i = 0; i < n; i++) write_element(w, type, size, (const char *)data + i * size);
}

void tensor_json_write(struct json_writer *w, onnxd_type type, const int64_t *dims, uint32_t rank,
                       const void *data)
{
    if (rank == 0) {
        tensor_json_write_elements(w, type, data, 1);
        return;
    }
    json_begin_array(w);
    if (rank == 1) {
        tensor_json_write_elements(w, type, data, (size_t)dims[0]);
    } else {
        size_t bytes = onnxd_type_size(type);
        for (uint32_t d = 1; d < rank; d++) bytes *= (size_t)dims[d];
        for (int64_t i = 0; i < dims[0]; i++)
            tensor_json_write(w, type, dims + 1, rank - 1, (const char *)data + (size_t)i * bytes);
    }
    json_end_array(w);
}
