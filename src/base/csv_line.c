#include "base/csv_line.h"

#include <string.h>

#include "base/error.h"

static bool is_blank(char c, char separator)
{
    return (c == ' ' || c == '\t') && c != separator;
}

/* The end of a quoted field's text, whose rest is at `at`; NULL when it does not end. */
static const char *quoted_end(const char *at, const char *end)
{
    while (at < end && (at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        if (at + 1 == end || at[1] != '"') return at;
        at += 2; /* two are one */
    }
    return NULL;
}

onnxd_status csv_next_field(struct csv_line *line, struct csv_field *ret, onnxd_error *err)
{
    const char *at = line->at, *end = line->end;
    char separator = line->separator;
    size_t number = ++line->n_fields;
    while (at < end && is_blank(*at, separator)) at++;
    if (at < end && *at == '"') {
        const char *close = quoted_end(at + 1, end);
        if (close == NULL)
            return error_set(err, ONNXD_ERR_FORMAT, "column %zu: the quoted field does not end on its line",
                             number);
        *ret = (struct csv_field){at + 1, (size_t)(close - at - 1), true};
        for (at = close + 1; at < end && is_blank(*at, separator);) at++;
        if (at < end && *at != separator)
            return error_set(err, ONNXD_ERR_FORMAT, "column %zu: expected a %s behind the quoted field",
                             number, separator == ',' ? "comma" : "separator");
    } else {
        const char *start = at, *next = at < end ? memchr(at, separator, (size_t)(end - at)) : NULL;
        at = next != NULL ? next : end;
        const char *stop = at;
        while (stop > start && is_blank(stop[-1], separator)) stop--;
        *ret = (struct csv_field){start, (size_t)(stop - start), false};
    }
    line->at = at < end ? at + 1 : NULL;
    return ONNXD_OK;
}

size_t csv_count_fields(const char *text, size_t n, char separator)
{
    struct csv_line line = csv_line_of(text, n, separator);
    struct csv_field field;
    while (line.at != NULL && csv_next_field(&line, &field, NULL) == ONNXD_OK) continue;
    return line.n_fields;
}

bool csv_is_open(const char *text, size_t n, char separator)
{
    struct csv_line line = csv_line_of(text, n, separator);
    struct csv_field field;
    if (memchr(text, '"', n) == NULL) return false;
    while (line.at != NULL) {
        const char *at = line.at;
        if (csv_next_field(&line, &field, NULL) == ONNXD_OK) continue;
        while (at < line.end && is_blank(*at, separator)) at++;
        return quoted_end(at + 1, line.end) == NULL;
    }
    return false;
}

bool csv_stays_open(const char *text, size_t n, char separator)
{
    const char *end = text + n, *at = quoted_end(text, end);
    if (at == NULL) return true;
    for (at++; at < end && is_blank(*at, separator);) at++;
    if (at == end || *at != separator) return false;
    at++;
    return csv_is_open(at, (size_t)(end - at), separator);
}

char csv_guess_separator(const char *line, size_t n)
{
    static const char candidates[] = "\t;,";
    for (const char *c = candidates; *c != 0; c++)
        if (memchr(line, *c, n) != NULL) return *c;
    return ',';
}

size_t csv_unquote(const struct csv_field *field, char *out)
{
    size_t n = 0;
    if (!field->quoted || memchr(field->text, '"', field->n) == NULL) {
        memcpy(out, field->text, field->n);
        return field->n;
    }
    for (size_t i = 0; i < field->n; i++) {
        out[n++] = field->text[i];
        if (field->text[i] == '"') i++; /* the first of two */
    }
    return n;
}
