#include "json/field_value.h"

#include <string.h>

#include "json/decimal.h"

struct field_value field_value_of_text(const char *text, size_t n)
{
    struct field_value value = {.kind = FIELD_STRING, .text = {text, n}};
    if (n == 0) {
        value.kind = FIELD_NULL;
    } else if (((*text >= '0' && *text <= '9') || *text == '-') &&
               decimal_parse_f64(text, n, &value.number)) {
        value.kind = FIELD_NUMBER;
    } else if ((n == 4 && memcmp(text, "true", 4) == 0) || (n == 5 && memcmp(text, "false", 5) == 0)) {
        value.kind = FIELD_BOOL;
        value.number = n == 4;
    }
    return value;
}
