/* json/json_text.h - the strings of json_reader.h: finding their end, checking them, decoding them. */
#ifndef JSON_JSON_TEXT_H
#define JSON_JSON_TEXT_H

#include "json/json_reader.h"

/* `at` stands behind the opening quote. Returns the place behind the closing one and fills *ret; or sets
 * *fault to what is wrong and returns where. */
const char *json_text_scan(const char *at, const char *end, struct json_text *ret, const char **fault);

/* The length of the UTF-8 character at `at` (1..4), or 0 when it is none (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
size_t utf8_length(const char *at, const char *end);

#endif
