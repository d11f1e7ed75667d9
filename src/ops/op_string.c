/* Operators on strings: StringNormalizer, StringConcat, StringSplit.
 * Source: ONNX operator specification, ai.onnx, StringNormalizer-10, StringConcat-20, StringSplit-20. */
#include "ops/op.h"

#include <string.h>

#include "base/casemap.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/shape.h"

static onnxd_status no_room(const struct op_run *run, onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room: the session's memory limit is reached");
}

/* ---- StringNormalizer: drops stop words, then changes case ---------------------------------------- */

static const char *const cases[] = {"NONE", "LOWER", "UPPER", NULL};
enum { CASE_NONE, CASE_LOWER, CASE_UPPER };

static onnxd_status check_normalizer(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_word(node, "case_change_action", cases, err);
    return status != ONNXD_OK ? status : check_attributes(node, err);
}

static onnxd_status shapes_normalizer(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_type(s, 0, TYPE_BIT(ONNXD_STRING), err);
    shapes_set_type(s, 0, ONNXD_STRING);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank < 1 || in->rank > 2 || (in->rank == 2 && dim_differs(in->dims[0], dim_constant(1))))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 must be [C] or [1, C]");
    struct dim dims[2] = {dim_constant(1), dim_unknown()};
    shapes_set(s, 0, ONNXD_STRING, in->rank, in->rank == 1 ? dims + 1 : dims);
    return ONNXD_OK;
}

static onnxd_status fold(struct op_run *run, enum casemap map, onnxd_string in, onnxd_string *ret,
                         onnxd_error *err)
{
    char *text = in.len < SIZE_MAX / 2 ? op_allocate(run, CASEMAP_ROOM(in.len)) : NULL;
    if (text == NULL) return no_room(run, err);
    *ret = (onnxd_string){text, casemap_utf8(map, in.data, in.len, text)};
    return ONNXD_OK;
}

static bool equal(onnxd_string a, onnxd_string b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The stop words as they are compared: folded unless case counts. */
static onnxd_status stop_words(struct op_run *run, bool exact, const onnxd_string **ret, size_t *ret_n,
                               onnxd_error *err)
{
    const onnxd_string *words = node_attribute_strings(run->node, "stopwords", ret_n);
    *ret = words;
    if (exact || *ret_n == 0) return ONNXD_OK;
    onnxd_string *folded = arena_alloc_array(run->env->arena, *ret_n, sizeof *folded);
    if (folded == NULL) return no_room(run, err);
    for (size_t i = 0; i < *ret_n; i++) {
        onnxd_status status = fold(run, CASEMAP_LOWER, words[i], &folded[i], err);
        if (status != ONNXD_OK) return status;
    }
    *ret = folded;
    return ONNXD_OK;
}

static onnxd_status run_normalizer(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    const onnxd_string *texts = in->data, *words;
    bool exact = node_attribute_int(run->node, "is_case_sensitive", 0) != 0;
    int change = attribute_word(run->node, "case_change_action", cases, CASE_NONE);
    size_t n_words, n = (size_t)onnxd_tensor_n_elements(in), n_kept = 0;
    onnxd_status status = stop_words(run, exact, &words, &n_words, err);
    if (status != ONNXD_OK) return status;
    onnxd_string *kept = arena_alloc_array(run->env->arena, n + 1, sizeof *kept);
    if (kept == NULL) return no_room(run, err);
    for (size_t i = 0; i < n && status == ONNXD_OK; i++) {
        onnxd_string compared = texts[i];
        bool stop = false;
        if (!exact && n_words > 0) status = fold(run, CASEMAP_LOWER, texts[i], &compared, err);
        for (size_t w = 0; w < n_words && !stop; w++) stop = equal(words[w], compared);
        if (stop || status != ONNXD_OK) continue;
        if (change == CASE_NONE) {
            kept[n_kept].len = texts[i].len;
            kept[n_kept].data = arena_memdup(run->env->arena, texts[i].data, texts[i].len);
            if (kept[n_kept].data == NULL) return no_room(run, err);
        } else {
            enum casemap map = change == CASE_LOWER ? CASEMAP_LOWER : CASEMAP_UPPER;
            status = fold(run, map, texts[i], &kept[n_kept], err);
        }
        n_kept++;
    }
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    if (n_kept == 0) kept[n_kept++] = (onnxd_string){"", 0};
    *run->out[0] = (onnxd_tensor){.type = ONNXD_STRING, .rank = in->rank, .dims = {1}, .data = kept};
    run->out[0]->dims[in->rank - 1] = (int64_t)n_kept;
    return ONNXD_OK;
}

/* ---- StringConcat -------------------------------------------------------------------------------- */

static onnxd_status shapes_join(struct op_shapes *s, onnxd_error *err)
{
    struct dim dims[ONNXD_MAX_RANK];
    int32_t rank;
    onnxd_status status = infer_type(s, 0, TYPE_BIT(ONNXD_STRING), err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_STRING), err);
    if (status == ONNXD_OK) status = shapes_broadcast(s, s->in[0], s->in[1], dims, &rank, err);
    if (status == ONNXD_OK) shapes_set(s, 0, ONNXD_STRING, rank, dims);
    return status;
}

static onnxd_status run_join(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *a = run->in[0], *b = run->in[1];
    onnxd_tensor *out = run->out[0];
    const onnxd_string *left = a->data, *right = b->data;
    onnxd_string *joined = out->data;
    int64_t left_strides[ONNXD_MAX_RANK], right_strides[ONNXD_MAX_RANK], n = onnxd_tensor_n_elements(out);
    shape_broadcast_strides(a->dims, a->rank, out->rank, left_strides);
    shape_broadcast_strides(b->dims, b->rank, out->rank, right_strides);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, l = 0, r = 0;
        for (uint32_t d = out->rank; d-- > 0; rest /= out->dims[d]) {
            l += rest % out->dims[d] * left_strides[d];
            r += rest % out->dims[d] * right_strides[d];
        }
        size_t len = left[l].len + right[r].len;
        char *text = op_allocate(run, len);
        if (text == NULL) return no_room(run, err);
        if (left[l].len > 0) memcpy(text, left[l].data, left[l].len);
        if (right[r].len > 0) memcpy(text + left[l].len, right[r].data, right[r].len);
        joined[i] = (onnxd_string){text, len};
    }
    return ONNXD_OK;
}

/* ---- StringSplit --------------------------------------------------------------------------------- */

static onnxd_status shapes_pieces(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPE_BIT(ONNXD_STRING), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, ONNXD_STRING);
    shapes_set_type(s, 1, ONNXD_INT64);
    if (in->rank < 0) return ONNXD_OK;
    if (in->rank >= ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output would have rank %d", in->rank + 1);
    memcpy(dims, in->dims, (size_t)in->rank * sizeof *dims);
    shapes_set(s, 1, ONNXD_INT64, in->rank, dims);
    dims[in->rank] = dim_unknown();
    shapes_set(s, 0, ONNXD_STRING, in->rank + 1, dims);
    return ONNXD_OK;
}

struct splitter {
    onnxd_string delimiter; /* len 0: runs of white space, none at the ends */
    int64_t max;            /* of cuts */
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Cuts the next piece off *rest; false when there is none. n_cut: cuts so far. */
static bool next_piece(const struct splitter *splitter, onnxd_string *rest, int64_t n_cut,
                       onnxd_string *ret_piece)
{
    if (splitter->delimiter.len == 0) {
        while (rest->len > 0 && is_space(*rest->data)) rest->data++, rest->len--;
        if (rest->len == 0) return false;
        size_t n = 0;
        while (n < rest->len && !is_space(rest->data[n])) n++;
        if (n_cut == splitter->max) n = rest->len;
        *ret_piece = (onnxd_string){rest->data, n};
        *rest = (onnxd_string){rest->data + n, rest->len - n};
        return true;
    }
    if (rest->data == NULL) return false;
    const char *at = n_cut == splitter->max || rest->len == 0
                         ? NULL
                         : memmem(rest->data, rest->len, splitter->delimiter.data, splitter->delimiter.len);
    *ret_piece = *rest;
    if (at == NULL) {
        *rest = (onnxd_string){NULL, 0};
        return true;
    }
    ret_piece->len = (size_t)(at - rest->data);
    size_t used = ret_piece->len + splitter->delimiter.len;
    *rest = (onnxd_string){rest->data + used, rest->len - used};
    return true;
}

static int64_t count_pieces(const struct splitter *splitter, onnxd_string text)
{
    onnxd_string piece;
    int64_t n = 0;
    while (next_piece(splitter, &text, n, &piece)) n++;
    return n;
}

static onnxd_status fill_pieces(struct op_run *run, const struct splitter *splitter, onnxd_string text,
                                onnxd_string *out, int64_t width, onnxd_error *err)
{
    onnxd_string piece;
    int64_t n = 0;
    while (n < width && next_piece(splitter, &text, n, &piece)) {
        char *copy = arena_memdup(run->env->arena, piece.data, piece.len);
        if (copy == NULL) return no_room(run, err);
        out[n++] = (onnxd_string){copy, piece.len};
    }
    for (; n < width; n++) out[n] = (onnxd_string){"", 0};
    return ONNXD_OK;
}

static onnxd_status run_pieces(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    const onnxd_string *texts = in->data;
    const struct attribute *delimiter = node_attribute(run->node, "delimiter");
    struct splitter splitter = {.max = node_attribute_int(run->node, "maxsplit", INT64_MAX)};
    if (delimiter != NULL && delimiter->kind == ATTRIBUTE_STRING) splitter.delimiter = delimiter->s;
    int64_t n = onnxd_tensor_n_elements(in), width = 0;
    int64_t *counts = arena_alloc_array(run->env->arena, (size_t)n, sizeof *counts);
    if (counts == NULL) return no_room(run, err);
    for (int64_t i = 0; i < n; i++) {
        counts[i] = count_pieces(&splitter, texts[i]);
        width = counts[i] > width ? counts[i] : width;
    }
    onnxd_tensor shape = *in;
    if (shape.rank >= ONNXD_MAX_RANK)
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "output would have rank %u", shape.rank + 1);
    shape.dims[shape.rank] = width;
    onnxd_status status = op_allocate_output(run, 0, ONNXD_STRING, shape.rank + 1, shape.dims, err);
    for (int64_t i = 0; i < n && status == ONNXD_OK && run->out[0] != NULL; i++)
        status = fill_pieces(run, &splitter, texts[i], (onnxd_string *)run->out[0]->data + i * width, width,
                             err);
    if (status == ONNXD_OK && run->n_out > 1 && run->out[1] != NULL) {
        *run->out[1] = *in;
        run->out[1]->type = ONNXD_INT64;
        run->out[1]->data = counts;
    }
    return status;
}

const struct op_def ops_string[] = {
    {"", "StringNormalizer", 10, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC | OP_STRINGS, check_normalizer,
     shapes_normalizer, NULL, NULL, run_normalizer},
    {"", "StringConcat", 20, OP_LATEST, 2, 2, 1, 1, OP_STRINGS, NULL, shapes_join, NULL, NULL, run_join},
    {"", "StringSplit", 20, OP_LATEST, 1, 1, 2, 2, OP_DYNAMIC | OP_STRINGS, check_attributes, shapes_pieces,
     NULL, NULL, run_pieces},
    {0},
};
