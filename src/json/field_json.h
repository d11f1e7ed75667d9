/* json/field_json.h - the value of a field as JSON has it. */
#ifndef JSON_FIELD_JSON_H
#define JSON_FIELD_JSON_H

#include "base/arena.h"
#include "json/field_value.h"
#include "json/json_reader.h"

/* The value at the reader: null, true, false, a number, a string, or a list of these. Lists and strings with
 * escapes are put into the arena; other texts are borrowed from the reader's bytes. false: the reader has
 * failed. */
bool json_read_field(struct json_reader *r, struct arena *arena, struct field_value *ret);

#endif
