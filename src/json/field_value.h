/* json/field_value.h - one named value of a record, before anything is made of it.
 *
 * A record is a row of an ad log: fields by name, each a number, a text, a truth value, a list of these or
 * nothing. They come from a request's JSON, from CSV or from a log; what reads them, and what turns them
 * into model inputs, meet in this type.
 *
 * Ownership: texts and items are borrowed from where the record was read.
 * Threads:   plain values. */
#ifndef JSON_FIELD_VALUE_H
#define JSON_FIELD_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/tensor.h"

enum field_kind { FIELD_ABSENT, FIELD_NULL, FIELD_BOOL, FIELD_NUMBER, FIELD_STRING, FIELD_LIST };

struct field_value {
    enum field_kind kind;
    uint32_t n_items;                /* LIST */
    double number;                   /* NUMBER; BOOL: 0 or 1 */
    onnxd_string text;               /* STRING: decoded; NUMBER: as written, for integers beyond 2^53 */
    const struct field_value *items; /* LIST: numbers, strings and truth values */
};

/* The value of a text without type, as CSV has it: nothing when it is empty, a number or a truth value when
 * it reads as one in JSON, else a string. The text is borrowed. Quotes say nothing of a type: many programs
 * put them around numbers, too. */
struct field_value field_value_of_text(const char *text, size_t n);

#endif
