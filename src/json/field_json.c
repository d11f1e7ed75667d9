#include "json/field_json.h"

static bool fail_room(struct json_reader *r, const char *what)
{
    return json_fail(r, ONNXD_ERR_LIMIT, "no room for the %s of this request", what);
}

static bool read_number(struct json_reader *r, struct field_value *value)
{
    struct decimal number;
    value->kind = FIELD_NUMBER;
    if (!json_read_decimal(r, &number)) return false;
    value->number = decimal_to_f64(&number);
    value->text = (onnxd_string){number.text, number.n};
    return value->number - value->number == 0 ||
           json_fail(r, ONNXD_ERR_RANGE, "the number is beyond the range of a 64-bit float");
}

static bool read_string(struct json_reader *r, struct arena *arena, struct field_value *value)
{
    struct json_text text;
    value->kind = FIELD_STRING;
    if (!json_read_string(r, &text)) return false;
    value->text = (onnxd_string){text.raw, text.n_raw};
    if (!text.escaped) return true;
    char *decoded = arena_alloc(arena, text.n_raw);
    if (decoded == NULL) return fail_room(r, "strings");
    value->text = (onnxd_string){decoded, json_text_decode(&text, decoded)};
    return true;
}

static bool read_bool(struct json_reader *r, struct field_value *value)
{
    bool truth;
    value->kind = FIELD_BOOL;
    if (!json_read_bool(r, &truth)) return false;
    value->number = truth;
    return true;
}

static bool read_scalar(struct json_reader *r, enum json_kind kind, struct arena *arena,
                        struct field_value *value)
{
    switch (kind) {
    case JSON_NULL: value->kind = FIELD_NULL; return json_read_null(r);
    case JSON_BOOL: return read_bool(r, value);
    case JSON_NUMBER: return read_number(r, value);
    case JSON_STRING: return read_string(r, arena, value);
    case JSON_NONE: return false;
    default: return json_fail(r, ONNXD_ERR_FORMAT, "expected a number, a string, true, false or null");
    }
}

static bool read_list(struct json_reader *r, struct arena *arena, struct field_value *value)
{
    struct json_reader ahead = *r;
    uint32_t n = 0;
    json_enter_array(&ahead);
    while (json_next_element(&ahead) && json_skip(&ahead)) n++;
    if (ahead.status != ONNXD_OK) { /* told where it is */
        *r = ahead;
        return false;
    }
    struct field_value *items = arena_alloc_array(arena, n, sizeof *items);
    if (items == NULL) return fail_room(r, "lists");
    *value = (struct field_value){.kind = FIELD_LIST, .n_items = n, .items = items};
    json_enter_array(r);
    while (json_next_element(r))
        if (!read_scalar(r, json_peek(r), arena, items++)) return false;
    return r->status == ONNXD_OK;
}

bool json_read_field(struct json_reader *r, struct arena *arena, struct field_value *ret)
{
    enum json_kind kind = json_peek(r);
    return kind == JSON_ARRAY ? read_list(r, arena, ret) : read_scalar(r, kind, arena, ret);
}
