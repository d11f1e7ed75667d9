#include "support/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

static double element_f64(const onnxd_tensor *tensor, int64_t i)
{
    switch (tensor->type) {
    case ONNXD_FLOAT32:
    case ONNXD_COMPLEX64: return ((const float *)tensor->data)[i];
    case ONNXD_FLOAT64:
    case ONNXD_COMPLEX128: return ((const double *)tensor->data)[i];
    case ONNXD_FLOAT16: return f32_of_f16(((const uint16_t *)tensor->data)[i]);
    default: return f32_of_bf16(((const uint16_t *)tensor->data)[i]);
    }
}

static bool close_enough(double got, double want, struct tolerance tolerance)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got)) return got == want;
    return fabs(got - want) <= tolerance.absolute + tolerance.relative * fabs(want);
}

static bool compare_floats(const onnxd_tensor *got, const onnxd_tensor *want, struct tolerance tolerance,
                           char *text, size_t size)
{
    bool is_complex = want->type == ONNXD_COMPLEX64 || want->type == ONNXD_COMPLEX128;
    int64_t n = onnxd_tensor_n_elements(want) * (is_complex ? 2 : 1), n_differ = 0, first = -1;
    for (int64_t i = 0; i < n; i++)
        if (!close_enough(element_f64(got, i), element_f64(want, i), tolerance)) {
            if (n_differ++ == 0) first = i;
        }
    if (n_differ == 0) return true;
    snprintf(text, size, "element %lld is %.9g, expected %.9g (%lld of %lld differ)", (long long)first,
             element_f64(got, first), element_f64(want, first), (long long)n_differ, (long long)n);
    return false;
}

static bool compare_strings(const onnxd_tensor *got, const onnxd_tensor *want, char *text, size_t size)
{
    const onnxd_string *a = got->data, *b = want->data;
    for (int64_t i = 0; i < onnxd_tensor_n_elements(want); i++) {
        if (a[i].len == b[i].len && memcmp(a[i].data, b[i].data, a[i].len) == 0) continue;
        snprintf(text, size, "string %lld is \"%.*s\", expected \"%.*s\"", (long long)i, (int)a[i].len,
                 a[i].data, (int)b[i].len, b[i].data);
        return false;
    }
    return true;
}

static long long element_i64(const onnxd_tensor *tensor, int64_t i)
{
    long long value = 0;
    size_t size = type_size(tensor->type);
    const char *at = (const char *)tensor->data + (size_t)i * size;
    switch (tensor->type) {
    case ONNXD_INT8:
    case ONNXD_INT4: return *(const int8_t *)at;
    case ONNXD_INT16: return *(const int16_t *)at;
    case ONNXD_INT32: return *(const int32_t *)at;
    default: memcpy(&value, at, size); return value;
    }
}

static bool compare_integers(const onnxd_tensor *got, const onnxd_tensor *want, char *text, size_t size)
{
    size_t element = type_size(want->type);
    for (int64_t i = 0; i < onnxd_tensor_n_elements(want); i++) {
        size_t at = (size_t)i * element;
        if (memcmp((const char *)got->data + at, (const char *)want->data + at, element) == 0) continue;
        snprintf(text, size, "element %lld is %lld, expected %lld", (long long)i, element_i64(got, i),
                 element_i64(want, i));
        return false;
    }
    return true;
}

static bool compare_sequences(const onnxd_sequence *got, const onnxd_sequence *want,
                              struct tolerance tolerance, char *text, size_t size)
{
    if (got->n != want->n) {
        snprintf(text, size, "sequence has %zu items, expected %zu", got->n, want->n);
        return false;
    }
    for (size_t i = 0; i < want->n; i++)
        if (!compare_values(&got->items[i], &want->items[i], tolerance, text, size)) {
            size_t n = strlen(text);
            snprintf(text + n, size - n, " in item %zu", i);
            return false;
        }
    return true;
}

static bool compare_optionals(const onnxd_optional *got, const onnxd_optional *want,
                              struct tolerance tolerance, char *text, size_t size)
{
    if ((got->value == NULL) != (want->value == NULL)) {
        snprintf(text, size, "optional is %s, expected the opposite", got->value == NULL ? "empty" : "set");
        return false;
    }
    return want->value == NULL || compare_values(got->value, want->value, tolerance, text, size);
}

bool compare_values(const onnxd_tensor *got, const onnxd_tensor *want, struct tolerance tolerance, char *text,
                    size_t size)
{
    if (got->type != want->type) {
        snprintf(text, size, "type is %s, expected %s", onnxd_type_name(got->type),
                 onnxd_type_name(want->type));
        return false;
    }
    if (want->type == ONNXD_SEQUENCE) return compare_sequences(got->data, want->data, tolerance, text, size);
    if (want->type == ONNXD_OPTIONAL) return compare_optionals(got->data, want->data, tolerance, text, size);
    if (!shape_equal(got->dims, got->rank, want->dims, want->rank)) {
        char a[128], b[128];
        snprintf(text, size, "shape is %s, expected %s", shape_text(got->dims, got->rank, a, sizeof a),
                 shape_text(want->dims, want->rank, b, sizeof b));
        return false;
    }
    if (want->type == ONNXD_STRING) return compare_strings(got, want, text, size);
    if (type_is_float(want->type) || want->type == ONNXD_COMPLEX64 || want->type == ONNXD_COMPLEX128)
        return compare_floats(got, want, tolerance, text, size);
    return compare_integers(got, want, text, size);
}
