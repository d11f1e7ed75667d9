#include "ops/einsum.h"

#include <string.h>

/* One term as written: letters around at most one ellipsis. */
struct written {
    uint8_t before[ONNXD_MAX_RANK + 1], after[ONNXD_MAX_RANK + 1];
    uint32_t n_before, n_after;
    bool ellipsis;
};

struct reader {
    const struct node *node;
    const char *text;
    size_t at, len;
    onnxd_error *err;
};

static int label_of(char c)
{
    if (c >= 'a' && c <= 'z') return c - 'a' + 26; /* capitals sort before small letters */
    return c >= 'A' && c <= 'Z' ? c - 'A' : -1;
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->len && r->text[r->at] == ' ') r->at++;
}

static onnxd_status read_term(struct reader *r, struct written *term)
{
    *term = (struct written){.n_before = 0};
    for (;;) {
        skip_blanks(r);
        if (r->at == r->len || r->text[r->at] == ',' || r->text[r->at] == '-') return ONNXD_OK;
        int label = label_of(r->text[r->at]);
        if (label >= 0) {
            uint32_t n = term->n_before + term->n_after;
            if (n == ONNXD_MAX_RANK)
                return op_error(r->err, r->node, ONNXD_ERR_LIMIT, "equation: a term has more than %d labels",
                                ONNXD_MAX_RANK);
            if (term->ellipsis)
                term->after[term->n_after++] = (uint8_t)label;
            else
                term->before[term->n_before++] = (uint8_t)label;
            r->at++;
        } else if (r->len - r->at >= 3 && memcmp(r->text + r->at, "...", 3) == 0 && !term->ellipsis) {
            term->ellipsis = true;
            r->at += 3;
        } else {
            return op_error(r->err, r->node, ONNXD_ERR_MODEL, "equation: unexpected '%c' at position %zu",
                            r->text[r->at] < ' ' ? '?' : r->text[r->at], r->at);
        }
    }
}

/* Gives a term its labels; `covered` axes lie under the ellipsis. */
static onnxd_status place(const struct node *node, const struct written *w, uint32_t covered,
                          struct einsum_term *term, onnxd_error *err)
{
    uint32_t n = 0;
    if (w->n_before + w->n_after + covered > ONNXD_MAX_RANK)
        return op_error(err, node, ONNXD_ERR_LIMIT, "equation: a term has more than %d axes", ONNXD_MAX_RANK);
    for (uint32_t i = 0; i < w->n_before; i++) term->labels[n++] = w->before[i];
    for (uint32_t i = 0; i < covered && n < ONNXD_MAX_RANK; i++)
        term->labels[n++] = (uint8_t)(EINSUM_ELLIPSIS + ONNXD_MAX_RANK - covered + i);
    for (uint32_t i = 0; i < w->n_after && n < ONNXD_MAX_RANK; i++) term->labels[n++] = w->after[i];
    term->rank = n;
    return ONNXD_OK;
}

/* Without an arrow the output has the ellipsis, then every letter that occurs once, in order. */
static void imply_output(const uint32_t *uses, struct written *out)
{
    *out = (struct written){.ellipsis = true};
    for (int label = 0; label < EINSUM_ELLIPSIS; label++)
        if (uses[label] == 1 && out->n_after <= ONNXD_MAX_RANK) out->after[out->n_after++] = (uint8_t)label;
}

static onnxd_status check_output(const struct node *node, const struct einsum *e, const uint32_t *uses,
                                 onnxd_error *err)
{
    bool seen[EINSUM_LABELS] = {false};
    for (uint32_t i = 0; i < e->out.rank; i++) {
        uint8_t label = e->out.labels[i];
        if (seen[label])
            return op_error(err, node, ONNXD_ERR_MODEL, "equation: the output names a label twice");
        if (label < EINSUM_ELLIPSIS && uses[label] == 0)
            return op_error(err, node, ONNXD_ERR_MODEL, "equation: no input has an output's label");
        seen[label] = true;
    }
    return ONNXD_OK;
}

onnxd_status einsum_parse(const struct node *node, const uint32_t *ranks, uint32_t n_in, struct einsum *ret,
                          onnxd_error *err)
{
    const struct attribute *a = node_attribute(node, "equation");
    if (a == NULL || a->kind != ATTRIBUTE_STRING)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'equation' is missing");
    if (n_in > EINSUM_MAX_INPUTS)
        return op_error(err, node, ONNXD_ERR_LIMIT, "%u inputs, at most %d", n_in, EINSUM_MAX_INPUTS);
    struct reader r = {node, a->s.data, 0, a->s.len, err};
    struct written term;
    uint32_t uses[EINSUM_LABELS] = {0}, most_covered = 0;
    for (uint32_t i = 0; i < n_in; i++) {
        onnxd_status status = read_term(&r, &term);
        if (status != ONNXD_OK) return status;
        bool more = r.at < r.len && r.text[r.at] == ',';
        if (more != (i + 1 < n_in))
            return op_error(err, node, ONNXD_ERR_MODEL, "equation: not one term for each of %u inputs", n_in);
        r.at += more;
        uint32_t letters = term.n_before + term.n_after;
        if (letters > ranks[i] || (letters < ranks[i] && !term.ellipsis))
            return op_error(err, node, ONNXD_ERR_SHAPE, "equation: input %u has rank %u, its term %u labels",
                            i, ranks[i], letters);
        status = place(node, &term, ranks[i] - letters, &ret->in[i], err);
        if (status != ONNXD_OK) return status;
        if (ranks[i] - letters > most_covered) most_covered = ranks[i] - letters;
        for (uint32_t k = 0; k < ranks[i]; k++) uses[ret->in[i].labels[k]]++;
    }
    if (r.at == r.len) {
        imply_output(uses, &term);
    } else {
        if (r.len - r.at < 2 || memcmp(r.text + r.at, "->", 2) != 0)
            return op_error(err, node, ONNXD_ERR_MODEL, "equation: expected '->' at position %zu", r.at);
        r.at += 2;
        onnxd_status status = read_term(&r, &term);
        if (status != ONNXD_OK) return status;
        if (r.at != r.len) return op_error(err, node, ONNXD_ERR_MODEL, "equation: more than one output");
    }
    onnxd_status status = place(node, &term, term.ellipsis ? most_covered : 0, &ret->out, err);
    return status == ONNXD_OK ? check_output(node, ret, uses, err) : status;
}
