/* base/csv_line.h - the fields of one line of separated values (RFC 4180, with any separator).
 *
 *     struct csv_line line = csv_line_of(text, n, ',');
 *     struct csv_field field;
 *     while (line.at != NULL) { status = csv_next_field(&line, &field, err); ... }
 *
 * Blanks around a field are passed over unless they stand in quotes; a blank that is the separator is none.
 * Quotes count at a field's start alone; in a quoted field two of them are one.
 *
 * Ownership: fields are views of the text.
 * Threads:   no state. */
#ifndef BASE_CSV_LINE_H
#define BASE_CSV_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "onnxd/status.h"

struct csv_line {
    const char *at, *end; /* at == NULL: no more fields */
    size_t n_fields;      /* taken */
    char separator;
};

struct csv_field {
    const char *text;
    size_t n;
    bool quoted; /* text lies between the quotes, doubled ones still doubled */
};

static inline struct csv_line csv_line_of(const char *text, size_t n, char separator)
{
    return (struct csv_line){text, text + n, 0, separator};
}

/* ONNXD_ERR_FORMAT names the column. */
ONNXD_MUST_USE onnxd_status csv_next_field(struct csv_line *line, struct csv_field *ret, onnxd_error *err);

/* How many fields a line has, up to the first faulty one. */
size_t csv_count_fields(const char *text, size_t n, char separator);

/* Whether the line ends inside a quoted field, which then goes on in the next one. */
bool csv_is_open(const char *text, size_t n, char separator);

/* The same of a line that begins inside a quoted field. */
bool csv_stays_open(const char *text, size_t n, char separator);

/* The first of tab, ";" and "," that a file's first line holds; "," when it holds none. */
char csv_guess_separator(const char *line, size_t n);

/* Writes the field's text, doubled quotes made one, to out, which has room for field->n; returns its length.
 */
size_t csv_unquote(const struct csv_field *field, char *out);

#endif
