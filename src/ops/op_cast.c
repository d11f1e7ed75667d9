/* Cast and CastLike between all element types, strings included.
 *
 * Floating point becomes an integer by truncation and text in the shortest form that reads back the same;
 * text becomes a number when all of it is one ("3.14", "1e-5", "-INF", "nan").
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"

/* ---- check and shapes ------------------------------------------------------------------------------- */

/* Opset 1 has names of types. */
static onnxd_type type_of_name(onnxd_string name)
{
    static const struct {
        const char *name;
        onnxd_type type;
    } names[] = {{"FLOAT", ONNXD_FLOAT32},   {"UINT8", ONNXD_UINT8},    {"INT8", ONNXD_INT8},
                 {"UINT16", ONNXD_UINT16},   {"INT16", ONNXD_INT16},    {"INT32", ONNXD_INT32},
                 {"INT64", ONNXD_INT64},     {"STRING", ONNXD_STRING},  {"BOOL", ONNXD_BOOL},
                 {"FLOAT16", ONNXD_FLOAT16}, {"DOUBLE", ONNXD_FLOAT64}, {"UINT32", ONNXD_UINT32},
                 {"UINT64", ONNXD_UINT64}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == name.len && strncasecmp(names[i].name, name.data, name.len) == 0)
            return names[i].type;
    return ONNXD_UNDEFINED;
}

static onnxd_type target_type(const struct node *node)
{
    const struct attribute *a = node_attribute(node, "to");
    if (a == NULL) return ONNXD_UNDEFINED;
    if (a->kind == ATTRIBUTE_STRING) return type_of_name(a->s);
    return a->kind == ATTRIBUTE_INT && a->i > 0 && a->i <= ONNXD_INT4 ? (onnxd_type)a->i : ONNXD_UNDEFINED;
}

static bool castable(onnxd_type type)
{
    return lane_of(type) != LANE_NONE || type == ONNXD_STRING;
}

static onnxd_status check_cast(const struct node *node, onnxd_error *err)
{
    const struct attribute *a = node_attribute(node, "to");
    if (a == NULL) return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'to' is missing");
    if (castable(target_type(node))) return ONNXD_OK;
    return op_error(err, node, ONNXD_ERR_UNSUPPORTED, "attribute 'to': type %lld is not known here",
                    a->kind == ATTRIBUTE_INT ? (long long)a->i : -1LL);
}

static onnxd_status shapes_cast(struct op_shapes *s, onnxd_error *err)
{
    onnxd_type from = s->in[0]->type;
    onnxd_type to = s->n_in > 1 ? s->in[1]->type : target_type(s->node);
    for (uint32_t i = 0; i < s->n_in; i++)
        if (s->in[i]->type != ONNXD_UNDEFINED && !castable(s->in[i]->type))
            return op_error(err, s->node, ONNXD_ERR_TYPE, "input %u has type %s, which cannot be cast", i,
                            onnxd_type_name(s->in[i]->type));
    shapes_set(s, 0, to, s->in[0]->rank, s->in[0]->dims);
    bool exact = (from == ONNXD_INT64 || from == ONNXD_INT32 || from == ONNXD_BOOL) &&
                 (to == ONNXD_INT64 || to == ONNXD_INT32);
    if (exact || (from == ONNXD_BOOL && to == ONNXD_BOOL)) infer_copy_contents(s, 0);
    return ONNXD_OK;
}

/* ---- numbers ---------------------------------------------------------------------------------------- */

static onnxd_status prepare_cast(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    if (plan->out[0] != NULL && plan->in[0]->type == plan->out[0]->type) plan->view_of = 0;
    return ONNXD_OK;
}

static void cast_numbers(const onnxd_tensor *in, const onnxd_tensor *out)
{
    enum lane lane = lane_of(in->type);
    int64_t n = onnxd_tensor_n_elements(in);
    union lane_block block;
    if (lane_is_native(lane, in->type)) {
        elements_store(lane, out->type, out->data, 0, n, in->data);
    } else if (lane_is_native(lane_of(out->type), out->type)) {
        elements_load(lane_of(out->type), in->type, in->data, 0, 1, n, out->data);
    } else {
        for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
            int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
            elements_load(lane, in->type, in->data, at, 1, m, &block);
            elements_store(lane, out->type, out->data, at, m, &block);
        }
    }
}

/* ---- text: always as the C locale writes it ----------------------------------------------------------- */

enum { NUMBER_BYTES = 64 };

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t the_c_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

static bool reads_back(const char *text, double value, onnxd_type type)
{
    double got = strtod(text, NULL);
    if (type == ONNXD_FLOAT64) return got == value;
    if (type == ONNXD_FLOAT32) return strtof(text, NULL) == (float)value;
    return type == ONNXD_FLOAT16 ? f16_of_f64(got) == f16_of_f64(value)
                                 : bf16_of_f32((float)got) == bf16_of_f32((float)value);
}

/* Digits "d.dddde+XX" laid out as Python does: plain between 1e-4 and 1e16, else with an exponent. */
static int lay_out(const char *scientific, char *text)
{
    char digits[NUMBER_BYTES];
    int n_digits = 0, exponent = atoi(strchr(scientific, 'e') + 1), n = 0;
    for (const char *p = scientific; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[n_digits++] = *p;
    while (n_digits > 1 && digits[n_digits - 1] == '0') n_digits--;
    if (*scientific == '-') text[n++] = '-';
    if (exponent < -4 || exponent >= 16) {
        text[n++] = digits[0];
        if (n_digits > 1) text[n++] = '.';
        for (int i = 1; i < n_digits; i++) text[n++] = digits[i];
        return n + snprintf(text + n, NUMBER_BYTES - (size_t)n, "e%c%02d", exponent < 0 ? '-' : '+',
                            abs(exponent));
    }
    int before = exponent < 0 ? 1 : exponent + 1; /* digits in front of the point */
    for (int i = 0; i < before; i++) text[n++] = exponent < 0 || i >= n_digits ? '0' : digits[i];
    text[n++] = '.';
    for (int i = -1; i > exponent; i--) text[n++] = '0';
    int left = exponent < 0 ? 0 : before;
    if (left >= n_digits) text[n++] = '0';
    for (int i = left; i < n_digits; i++) text[n++] = digits[i];
    return n;
}

static int text_of_float(double value, onnxd_type type, char *text)
{
    if (isnan(value)) return snprintf(text, NUMBER_BYTES, "nan");
    if (isinf(value)) return snprintf(text, NUMBER_BYTES, value < 0 ? "-inf" : "inf");
    char scientific[NUMBER_BYTES];
    for (int digits = 0; digits < 17; digits++) {
        snprintf(scientific, sizeof scientific, "%.*e", digits, value);
        if (reads_back(scientific, value, type)) break;
    }
    return lay_out(scientific, text);
}

static int text_of_element(const onnxd_tensor *in, int64_t i, char *text)
{
    uint64_t u;
    switch (lane_of(in->type)) {
    case LANE_F32:
    case LANE_F64: return text_of_float(element_f64(in, i), in->type, text);
    case LANE_U64:
        u = ((const uint64_t *)in->data)[i];
        return snprintf(text, NUMBER_BYTES, "%llu", (unsigned long long)u);
    default:
        if (in->type == ONNXD_BOOL)
            return snprintf(text, NUMBER_BYTES, element_i64(in, i) != 0 ? "True" : "False");
        return snprintf(text, NUMBER_BYTES, "%lld", (long long)element_i64(in, i));
    }
}

static onnxd_status texts_of_numbers(struct op_run *run, const onnxd_tensor *in, onnxd_error *err)
{
    onnxd_string *out = run->out[0]->data;
    int64_t n = onnxd_tensor_n_elements(in);
    char text[NUMBER_BYTES];
    for (int64_t i = 0; i < n; i++) {
        int len = text_of_element(in, i, text);
        char *copy = op_allocate(run, (size_t)len);
        if (copy == NULL) return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for the text");
        memcpy(copy, text, (size_t)len);
        out[i] = (onnxd_string){copy, (size_t)len};
    }
    return ONNXD_OK;
}

/* Integers in full precision; false when the text is no integer. */
static bool integer_of_text(const char *text, enum lane lane, void *ret)
{
    char *end;
    if (lane == LANE_U64 && text[0] != '-')
        *(uint64_t *)ret = strtoull(text, &end, 10);
    else
        *(int64_t *)ret = strtoll(text, &end, 10);
    return *end == 0 && end != text;
}

static onnxd_status numbers_of_texts(struct op_run *run, const onnxd_tensor *in, onnxd_error *err)
{
    const onnxd_string *texts = in->data;
    const onnxd_tensor *out = run->out[0];
    enum lane lane = lane_of(out->type);
    int64_t n = onnxd_tensor_n_elements(in);
    for (int64_t i = 0; i < n; i++) {
        char text[NUMBER_BYTES], *end = text;
        uint64_t integer;
        double value = 0;
        if (texts[i].len > 0 && texts[i].len < sizeof text) {
            memcpy(text, texts[i].data, texts[i].len);
            text[texts[i].len] = 0;
            if ((lane == LANE_I64 || lane == LANE_U64) && integer_of_text(text, lane, &integer)) {
                elements_store(lane, out->type, out->data, i, 1, &integer);
                continue;
            }
            value = out->type == ONNXD_FLOAT64 ? strtod(text, &end) : (double)strtof(text, &end);
        }
        if (end == text || *end != 0 || strlen(text) != texts[i].len)
            return op_error(err, run->node, ONNXD_ERR_RANGE,
                            "element %lld of input 0 is not a number: '%.*s'", (long long)i,
                            texts[i].len < 40 ? (int)texts[i].len : 40, texts[i].data);
        elements_store(LANE_F64, out->type, out->data, i, 1, &value);
    }
    return ONNXD_OK;
}

static onnxd_status run_cast(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    if (out == NULL || onnxd_tensor_n_elements(in) == 0) return ONNXD_OK;
    if (in->type == out->type) {
        if (in->data != out->data) memcpy(out->data, in->data, onnxd_tensor_n_bytes(in));
        return ONNXD_OK;
    }
    if (in->type != ONNXD_STRING && out->type != ONNXD_STRING) {
        cast_numbers(in, out);
        return ONNXD_OK;
    }
    locale_t before = uselocale(the_c_locale());
    onnxd_status status = in->type == ONNXD_STRING ? numbers_of_texts(run, in, err)
                                                   : texts_of_numbers(run, in, err);
    uselocale(before);
    return status;
}

const struct op_def ops_cast[] = {
    {"", "Cast", 1, OP_LATEST, 1, 1, 1, 1, OP_STRINGS, check_cast, shapes_cast, NULL, prepare_cast, run_cast},
    {"", "CastLike", 15, OP_LATEST, 2, 2, 1, 1, OP_STRINGS, NULL, shapes_cast, NULL, prepare_cast, run_cast},
    {0},
};
