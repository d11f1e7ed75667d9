#include "support/operators_doc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "onnxd/tensor.h"
#include "ops/op.h"

static struct operator_tally *find(struct operators_tally *tally, const char *domain, const char *name)
{
    for (uint32_t i = 0; i < tally->n; i++)
        if (strcmp(tally->operators[i].name, name) == 0 && strcmp(tally->operators[i].domain, domain) == 0)
            return &tally->operators[i];
    if (tally->n == OPERATORS_MAX) return NULL;
    struct operator_tally *op = &tally->operators[tally->n++];
    *op = (struct operator_tally){.domain = domain, .name = name};
    return op;
}

void operators_tally_init(struct operators_tally *tally)
{
    tally->n = 0;
    const struct op_def *def;
    for (uint32_t i = 0; (def = op_at(i)) != NULL; i++) /* the optimiser's own are no user's concern */
        if (strcmp(def->domain, "onnxd") != 0) find(tally, def->domain, def->name);
}

/* ---- counting ------------------------------------------------------------------------------------ */

struct seen {
    struct operator_tally *operators[OPERATORS_MAX];
    uint32_t n;
};

static void see_graph(struct operators_tally *tally, const Onnx__GraphProto *graph, struct seen *seen)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        const struct op_def *def = op_find(node->domain != NULL ? node->domain : "", node->op_type, 17);
        struct operator_tally *op = def != NULL ? find(tally, def->domain, def->name) : NULL;
        bool again = op == NULL;
        for (uint32_t k = 0; k < seen->n; k++) again = again || seen->operators[k] == op;
        if (!again && seen->n < OPERATORS_MAX) seen->operators[seen->n++] = op;
        for (size_t a = 0; a < node->n_attribute; a++)
            if (node->attribute[a]->g != NULL) see_graph(tally, node->attribute[a]->g, seen);
    }
}

static uint32_t type_bits(const Onnx__TypeProto *type)
{
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE: return 1u << (type->tensor_type->elem_type & 31);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE: return type_bits(type->sequence_type->elem_type);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE: return type_bits(type->optional_type->elem_type);
    default: return 0;
    }
}

void operators_tally_add(struct operators_tally *tally, const Onnx__ModelProto *model, bool passed)
{
    static struct seen seen;
    seen.n = 0;
    see_graph(tally, model->graph, &seen);
    uint32_t types = 0;
    for (size_t i = 0; i < model->graph->n_input; i++) types |= type_bits(model->graph->input[i]->type);
    for (uint32_t i = 0; i < seen.n; i++) {
        seen.operators[i]->n_tests++;
        seen.operators[i]->n_passed += passed;
        if (passed && seen.n == 1) seen.operators[i]->types |= types;
    }
}

/* ---- writing ------------------------------------------------------------------------------------- */

static int by_domain_and_name(const void *a, const void *b)
{
    const struct operator_tally *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* "1+" or "1-6, 7+": ranges of opset versions, neighbours joined. */
static void write_versions(const struct operator_tally *op, struct buf *text)
{
    int64_t from = 0, until = 0;
    const struct op_def *def;
    for (;;) { /* the next range that begins at or after the end of the last one */
        const struct op_def *next = NULL;
        for (uint32_t i = 0; (def = op_at(i)) != NULL; i++)
            if (strcmp(def->name, op->name) == 0 && strcmp(def->domain, op->domain) == 0 &&
                def->since >= until && (next == NULL || def->since < next->since))
                next = def;
        if (next != NULL && (until == 0 || next->since == until)) {
            from = until == 0 ? next->since : from;
            until = next->until;
            if (until != OP_LATEST) continue;
        }
        if (until == OP_LATEST)
            buf_printf(text, "%" PRId64 "+", from);
        else
            buf_printf(text, "%" PRId64 "-%" PRId64, from, until - 1);
        if (next == NULL || until == OP_LATEST) return;
        buf_append_text(text, ", ");
        from = next->since;
        until = next->until;
    }
}

static void write_types(uint32_t types, struct buf *text)
{
    bool any = false;
    for (uint32_t t = 1; t < 32; t++)
        if ((types >> t & 1) != 0) {
            buf_printf(text, "%s%s", any ? " " : "", onnxd_type_name((onnxd_type)t));
            any = true;
        }
    if (!any) buf_append_char(text, '-');
}

void operators_doc_write(const struct operators_tally *tally, const char *groups, const char *excluded,
                         struct buf *ret_text)
{
    static struct operators_tally sorted;
    sorted = *tally;
    qsort(sorted.operators, sorted.n, sizeof sorted.operators[0], by_domain_and_name);
    buf_append_text(ret_text,
                    "# Operators\n\n"
                    "What the native engine runs, and what the official ONNX tests (Debian's "
                    "libonnx-testdata) say about it.\nWritten by "
                    "`build/tests/test_conformance --write-docs`; do not edit.\n\n"
                    "Each test runs three times: as it stands, without the optimiser, and with every input\n"
                    "dimension made variable. Floats must agree within 1e-7 + 1e-5 + 1e-3 of the expected\n"
                    "value's size, everything else exactly.\n\n"
                    "| group | tests | passed |\n|---|---|---|\n");
    buf_append_text(ret_text, groups);
    buf_append_text(ret_text,
                    "\n`versions` are the opsets of the operator's domain that the engine accepts; `types` "
                    "the element types\nof inputs in passed tests of the operator alone (the engine takes "
                    "more); `-` where the official tests have\nnone: those operators are tested by the "
                    "project's own models.\n\n"
                    "| operator | versions | types tested | tests passed |\n|---|---|---|---|\n");
    for (uint32_t i = 0; i < sorted.n; i++) {
        const struct operator_tally *op = &sorted.operators[i];
        buf_printf(ret_text, "| %s%s%s | ", op->domain, op->domain[0] != 0 ? "." : "", op->name);
        write_versions(op, ret_text);
        buf_append_text(ret_text, " | ");
        write_types(op->types, ret_text);
        if (op->n_tests > 0)
            buf_printf(ret_text, " | %u of %u |\n", op->n_passed, op->n_tests);
        else
            buf_append_text(ret_text, " | - |\n");
    }
    buf_append_text(ret_text, "\n## Tests that are not expected to pass\n\n");
    buf_append_text(ret_text, excluded);
}
