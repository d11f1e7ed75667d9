/* What values mean: the text of a category, the number of a number, the parts of a list. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "features/feature_build.h"

static bool is_mark(const onnxd_string *marks, uint32_t n_marks, onnxd_string text)
{
    for (uint32_t i = 0; i < n_marks; i++)
        if (marks[i].len == text.len && memcmp(marks[i].data, text.data, text.len) == 0) return true;
    return false;
}

/* "4.0" and "4.00" are "4": the same column comes as floats from programs that know missing numbers only as
 * NaN. */
static onnxd_string without_zero_fraction(onnxd_string text)
{
    size_t n = text.len;
    if (n < 3 || text.data[n - 1] != '0') return text;
    while (n > 1 && text.data[n - 1] == '0') n--;
    if (text.data[n - 1] != '.' || n < 2) return text;
    size_t first = text.data[0] == '-', digits = --n;
    if (first == digits) return text;
    for (size_t i = first; i < digits; i++)
        if (text.data[i] < '0' || text.data[i] > '9') return text;
    return (onnxd_string){text.data, n};
}

onnxd_string category_text(const onnxd_string *marks, uint32_t n_marks, const struct field_value *value)
{
    switch (value->kind) {
    case FIELD_BOOL: return value->number != 0 ? (onnxd_string){"true", 4} : (onnxd_string){"false", 5};
    case FIELD_NUMBER: return without_zero_fraction(value->text);
    case FIELD_STRING:
        if (is_mark(marks, n_marks, value->text)) return (onnxd_string){"", 0};
        return without_zero_fraction(value->text);
    case FIELD_ABSENT:
    case FIELD_NULL:
    case FIELD_LIST: break;
    }
    return (onnxd_string){"", 0};
}

onnxd_status number_of_value(const onnxd_string *marks, uint32_t n_marks, const struct field_value *value,
                             double *ret, bool *ret_missing, onnxd_error *err)
{
    *ret_missing = false;
    switch (value->kind) {
    case FIELD_NUMBER:
    case FIELD_BOOL: *ret = value->number; return ONNXD_OK;
    case FIELD_STRING:
        if (value->text.len == 0 || is_mark(marks, n_marks, value->text)) break;
        return error_set(err, ONNXD_ERR_TYPE, "expected a number, got the text '%.*s'",
                         value->text.len < 60 ? (int)value->text.len : 60, value->text.data);
    case FIELD_LIST: return error_set(err, ONNXD_ERR_TYPE, "expected a number, got a list");
    case FIELD_ABSENT:
    case FIELD_NULL: break;
    }
    *ret_missing = true;
    return ONNXD_OK;
}

void categories_each(const onnxd_string *marks, uint32_t n_marks, char separator,
                     const struct field_value *value, bool (*take)(void *context, onnxd_string text),
                     void *context)
{
    if (value->kind == FIELD_LIST) {
        for (uint32_t i = 0; i < value->n_items; i++) {
            onnxd_string text = category_text(marks, n_marks, &value->items[i]);
            if (text.len > 0 && !take(context, text)) return;
        }
        return;
    }
    onnxd_string whole = category_text(marks, n_marks, value);
    const char *at = whole.data, *end = at + whole.len;
    while (at < end) {
        const char *stop = memchr(at, separator, (size_t)(end - at));
        if (stop == NULL) stop = end;
        struct field_value part = {.kind = FIELD_STRING, .text = {at, (size_t)(stop - at)}};
        onnxd_string text = category_text(marks, n_marks, &part);
        if (text.len > 0 && !take(context, text)) return;
        at = stop + 1;
    }
}

double signed_log(double x)
{
    return copysign(log1p(fabs(x)), x);
}
