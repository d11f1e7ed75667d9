#include "ctr/ctr_export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "graph/onnx_writer.h"

enum { OPSET = 17, NAME_BYTES = 48, LONG_NAME_BYTES = 80, MAX_LIST_BYTES = 1 << 22 };

/* A list of value names parted by blanks. */
static void append_name(struct buf *list, const char *name)
{
    if (list->n > 0) buf_append_char(list, ' ');
    buf_append_text(list, name);
}

static const char *text_of(struct buf *list)
{
    buf_append_char(list, 0);
    return list->failed ? "" : list->data;
}

static void int64_tensor(struct onnx_writer *w, const char *name, int64_t value)
{
    onnx_writer_tensor(w, name, ONNXD_INT64, 1, (int64_t[]){1}, &value);
}

/* Columns [from, to) of the input. */
static void write_slice(struct onnx_writer *w, const char *name, uint32_t from, uint32_t to)
{
    char start[NAME_BYTES], end[NAME_BYTES], inputs[4 * NAME_BYTES];
    snprintf(start, sizeof start, "%s_from", name);
    snprintf(end, sizeof end, "%s_to", name);
    snprintf(inputs, sizeof inputs, "input %s %s axis_1", start, end);
    int64_tensor(w, start, from);
    int64_tensor(w, end, to);
    onnx_writer_node(w, "Slice", name, inputs, name);
}

enum part { PART_EMBEDDING, PART_LINEAR, PART_FACTOR };

/* The table of a field or factor, a row of zeros for padding. */
static onnxd_status write_table(struct onnx_writer *w, const struct deepfm *m, const struct ctr_field *field,
                                enum part part, const char *name, onnxd_error *err)
{
    uint32_t embedding = m->shape->net.embedding, n = part == PART_LINEAR ? 1 : embedding;
    uint32_t from = part == PART_LINEAR ? embedding : 0;
    float gain = part == PART_FACTOR ? DEEPFM_CROSS_GAIN : 1;
    float *table = arena_alloc_array(&w->arena, field->n_ids, n * sizeof *table);
    if (table == NULL) return error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory for %u ids", field->n_ids);
    for (uint32_t i = 0; i < field->n_ids; i++)
        for (uint32_t j = 0; j < n && i != field->padding_id; j++)
            table[(size_t)i * n + j] = gain * deepfm_row(m, field->first_row + i)[from + j];
    onnx_writer_tensor(w, name, ONNXD_FLOAT32, 2, (int64_t[]){field->n_ids, n}, table);
    return ONNXD_OK;
}

/* name = table[ids], [batch, width] of one column or [batch, slots, width]. */
static void write_lookup(struct onnx_writer *w, const char *table, const char *ids, const char *name)
{
    char inputs[4 * NAME_BYTES];
    snprintf(inputs, sizeof inputs, "%s %s", table, ids);
    onnx_writer_node(w, "Gather", name, inputs, name);
    onnx_writer_attr_int(w, "axis", 0);
}

/* A multi-valued field: the sum over its slots, padding being zeros, over the number of those that count. */
static void write_pool(struct onnx_writer *w, const char *looked_up, const char *count, const char *name)
{
    char sum[LONG_NAME_BYTES], inputs[4 * NAME_BYTES];
    snprintf(sum, sizeof sum, "%s_sum", name);
    snprintf(inputs, sizeof inputs, "%s axis_1", looked_up);
    onnx_writer_node(w, "ReduceSum", sum, inputs, sum);
    onnx_writer_attr_int(w, "keepdims", 0);
    snprintf(inputs, sizeof inputs, "%s %s", sum, count);
    onnx_writer_node(w, "Div", name, inputs, name);
}

/* How many slots count, at least 1: [batch, 1]. */
static void write_count(struct onnx_writer *w, const struct ctr_field *field, const char *slots,
                        const char *count)
{
    char a[LONG_NAME_BYTES], b[LONG_NAME_BYTES], c[LONG_NAME_BYTES], d[LONG_NAME_BYTES], pad[LONG_NAME_BYTES];
    char inputs[4 * NAME_BYTES];
    float padding = field->padding_id == FEATURE_NO_ID ? -1 : (float)field->padding_id;
    snprintf(a, sizeof a, "%s_pads", count);
    snprintf(b, sizeof b, "%s_real", count);
    snprintf(c, sizeof c, "%s_ones", count);
    snprintf(d, sizeof d, "%s_total", count);
    snprintf(pad, sizeof pad, "%s_padding", count);
    onnx_writer_tensor(w, pad, ONNXD_FLOAT32, 0, NULL, &padding);
    snprintf(inputs, sizeof inputs, "%s %s", slots, pad);
    onnx_writer_node(w, "Equal", a, inputs, a);
    onnx_writer_node(w, "Not", b, a, b);
    onnx_writer_node(w, "Cast", c, b, c);
    onnx_writer_attr_int(w, "to", ONNXD_FLOAT32);
    snprintf(inputs, sizeof inputs, "%s axis_1", c);
    onnx_writer_node(w, "ReduceSum", d, inputs, d);
    snprintf(inputs, sizeof inputs, "%s one", d);
    onnx_writer_node(w, "Max", count, inputs, count);
}

static bool is_pooled(const struct ctr_field *field)
{
    return field->n_slots > 1 || field->padding_id != FEATURE_NO_ID;
}

/* What the ids of field i are in the table of `field`, that one or a factor of it; value gets the name,
 * KIND_NUMBER. */
static onnxd_status write_values(struct onnx_writer *w, const struct deepfm *m, const struct ctr_field *field,
                                 uint32_t i, enum part part, uint32_t number, char value[NAME_BYTES],
                                 onnxd_error *err)
{
    static const char *const kinds[] = {"embedding", "linear", "factor"};
    char ids[NAME_BYTES], table[NAME_BYTES], looked_up[NAME_BYTES], count[NAME_BYTES];
    snprintf(ids, sizeof ids, "ids_%u", i);
    snprintf(table, sizeof table, "%s_table_%u", kinds[part], number);
    snprintf(looked_up, sizeof looked_up, "%s_rows_%u", kinds[part], number);
    snprintf(value, NAME_BYTES, "%s_%u", kinds[part], number);
    onnxd_status status = write_table(w, m, field, part, table, err);
    if (status != ONNXD_OK) return status;
    write_lookup(w, table, ids, looked_up);
    if (is_pooled(field)) {
        snprintf(count, sizeof count, "count_%u", i);
        write_pool(w, looked_up, count, value);
    } else { /* [batch, 1, width] without the axis of its one slot */
        char inputs[4 * NAME_BYTES];
        snprintf(inputs, sizeof inputs, "%s axis_1", looked_up);
        onnx_writer_node(w, "Squeeze", value, inputs, value);
    }
    return ONNXD_OK;
}

/* Appends the names of field i's embedding and linear weight to the two lists. */
static onnxd_status write_field(struct onnx_writer *w, const struct deepfm *m, uint32_t i,
                                struct buf *embedded, struct buf *linear, onnxd_error *err)
{
    const struct ctr_field *field = &m->shape->fields[i];
    char slots[NAME_BYTES], ids[NAME_BYTES], count[NAME_BYTES], value[NAME_BYTES];
    snprintf(slots, sizeof slots, "column_%u", field->first_column);
    snprintf(ids, sizeof ids, "ids_%u", i);
    snprintf(count, sizeof count, "count_%u", i);
    write_slice(w, slots, field->first_column, field->first_column + field->n_slots);
    onnx_writer_node(w, "Cast", ids, slots, ids);
    onnx_writer_attr_int(w, "to", ONNXD_INT64);
    if (is_pooled(field)) write_count(w, field, slots, count);
    onnxd_status status = write_values(w, m, field, i, PART_EMBEDDING, i, value, err);
    append_name(embedded, value);
    if (status == ONNXD_OK) status = write_values(w, m, field, i, PART_LINEAR, i, value, err);
    append_name(linear, value);
    return status;
}

static void write_concat(struct onnx_writer *w, struct buf *list, const char *name)
{
    onnx_writer_node(w, "Concat", name, text_of(list), name);
    onnx_writer_attr_int(w, "axis", 1);
}

/* A slice for each number, joined: the engine builds that together with the lookups in one pass. */
static void write_numbers(struct onnx_writer *w, const struct ctr_shape *shape, struct buf *list)
{
    if (shape->n_dense == 1) write_slice(w, "numbers", shape->first_dense, shape->n_columns);
    if (shape->n_dense < 2) return;
    for (uint32_t i = 0; i < shape->n_dense; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "number_%u", i);
        write_slice(w, name, shape->first_dense + i, shape->first_dense + i + 1);
        append_name(list, name);
    }
    write_concat(w, list, "numbers");
}

static void write_sum(struct onnx_writer *w, const char *inputs, const char *name)
{
    onnx_writer_node(w, "Add", name, inputs, name);
}

/* (sum^2 - sum of squares) / 2 over the fields; the fields side by side as [batch, fields, embedding]. */
static void write_fm(struct onnx_writer *w, const struct ctr_shape *shape)
{
    const float half = 0.5f;
    int64_t dims[3] = {-1, shape->n_fields, shape->net.embedding};
    onnx_writer_tensor(w, "fm_shape", ONNXD_INT64, 1, (int64_t[]){3}, dims);
    onnx_writer_tensor(w, "half", ONNXD_FLOAT32, 0, NULL, &half);
    onnx_writer_node(w, "Reshape", "fm_fields", "embedded fm_shape", "fm_fields");
    onnx_writer_node(w, "ReduceSum", "fm_sum", "fm_fields axis_1", "fm_sum");
    onnx_writer_node(w, "Mul", "fm_square_of_sum", "fm_sum fm_sum", "fm_square_of_sum");
    onnx_writer_node(w, "Mul", "fm_squares", "fm_fields fm_fields", "fm_squares");
    onnx_writer_node(w, "ReduceSum", "fm_sum_of_squares", "fm_squares axis_1", "fm_sum_of_squares");
    onnx_writer_node(w, "Sub", "fm_cross", "fm_square_of_sum fm_sum_of_squares", "fm_cross");
    onnx_writer_node(w, "ReduceSum", "fm_total", "fm_cross axis_2", "fm_total");
    onnx_writer_attr_int(w, "keepdims", 0);
    onnx_writer_node(w, "Mul", "fm", "fm_total half", "fm");
}

static void write_deep(struct onnx_writer *w, const struct deepfm *m)
{
    char input[NAME_BYTES] = "inputs", weights[NAME_BYTES], bias[NAME_BYTES], sum[NAME_BYTES],
         output[NAME_BYTES], inputs[4 * NAME_BYTES];
    for (uint32_t l = 0; l < m->shape->net.n_hidden; l++) {
        const struct deepfm_layer *layer = &m->layers[l];
        snprintf(weights, sizeof weights, "deep_weights_%u", l);
        snprintf(bias, sizeof bias, "deep_bias_%u", l);
        snprintf(sum, sizeof sum, "deep_sum_%u", l);
        snprintf(output, sizeof output, "deep_%u", l);
        onnx_writer_tensor(w, weights, ONNXD_FLOAT32, 2, (int64_t[]){layer->k, layer->n},
                           m->dense + layer->w);
        onnx_writer_tensor(w, bias, ONNXD_FLOAT32, 1, (int64_t[]){layer->n}, m->dense + layer->b);
        snprintf(inputs, sizeof inputs, "%s %s %s", input, weights, bias);
        onnx_writer_node(w, "Gemm", sum, inputs, sum);
        onnx_writer_node(w, "Relu", output, sum, output);
        memcpy(input, output, sizeof input);
    }
    onnx_writer_tensor(w, "deep_last", ONNXD_FLOAT32, 2, (int64_t[]){deepfm_last_width(m), 1},
                       m->dense + m->last);
    snprintf(inputs, sizeof inputs, "%s deep_last", input);
    onnx_writer_node(w, "MatMul", "deep", inputs, "deep");
}

/* The linear part: ids' weights summed, plus numbers times their weights. */
static void write_linear(struct onnx_writer *w, const struct deepfm *m, struct buf *linear)
{
    const struct ctr_shape *shape = m->shape;
    if (shape->n_fields > 0) {
        write_concat(w, linear, "linear_ids");
        onnx_writer_node(w, "ReduceSum", "linear_of_ids", "linear_ids axis_1", "linear_of_ids");
    }
    if (shape->n_dense == 0) return;
    onnx_writer_tensor(w, "number_weights", ONNXD_FLOAT32, 2, (int64_t[]){shape->n_dense, 1},
                       m->dense + m->numbers);
    onnx_writer_node(w, "MatMul", "linear_of_numbers", "numbers number_weights", "linear_of_numbers");
}

/* The product of the factors of cross i, the first of which is f, number by number. */
static onnxd_status write_product(struct onnx_writer *w, const struct deepfm *m, uint32_t i, uint32_t f,
                                  char product[NAME_BYTES], onnxd_error *err)
{
    const struct ctr_cross *cross = &m->shape->net.crosses[i];
    for (uint32_t j = 0; j < cross->n; j++, f++) {
        char factor[NAME_BYTES], inputs[4 * NAME_BYTES];
        onnxd_status status = write_values(w, m, &m->shape->fields[f], cross->fields[j], PART_FACTOR, f,
                                           j == 0 ? product : factor, err);
        if (status != ONNXD_OK) return status;
        if (j == 0) continue;
        snprintf(inputs, sizeof inputs, "%s %s", product, factor);
        snprintf(product, NAME_BYTES, "cross_%u_%u", i, j);
        onnx_writer_node(w, "Mul", product, inputs, product);
    }
    return ONNXD_OK;
}

/* The products of all crosses, added number by number, then summed. */
static onnxd_status write_crosses(struct onnx_writer *w, const struct deepfm *m, onnxd_error *err)
{
    char sum[NAME_BYTES], product[NAME_BYTES], inputs[4 * NAME_BYTES];
    for (uint32_t i = 0, f = m->shape->n_fields; i < m->shape->net.n_crosses;
         f += m->shape->net.crosses[i++].n) {
        onnxd_status status = write_product(w, m, i, f, i == 0 ? sum : product, err);
        if (status != ONNXD_OK) return status;
        if (i == 0) continue;
        snprintf(inputs, sizeof inputs, "%s %s", sum, product);
        snprintf(sum, sizeof sum, "crosses_%u", i);
        write_sum(w, inputs, sum);
    }
    snprintf(inputs, sizeof inputs, "%s axis_1", sum);
    onnx_writer_node(w, "ReduceSum", "crosses", inputs, "crosses");
    return ONNXD_OK;
}

/* Adds the parts that there are, then the bias. */
static void write_logit(struct onnx_writer *w, const struct ctr_shape *shape, float bias)
{
    const char *parts[] = {shape->n_fields > 0 ? "linear_of_ids" : NULL,
                           shape->n_dense > 0 ? "linear_of_numbers" : NULL, shape->n_fields > 0 ? "fm" : NULL,
                           shape->net.n_hidden > 0 ? "deep" : NULL,
                           shape->net.n_crosses > 0 ? "crosses" : NULL};
    char sum[NAME_BYTES] = "", next[NAME_BYTES], inputs[4 * NAME_BYTES];
    for (uint32_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i] == NULL) continue;
        if (sum[0] == 0) {
            snprintf(sum, sizeof sum, "%s", parts[i]);
            continue;
        }
        snprintf(next, sizeof next, "logit_%u", i);
        snprintf(inputs, sizeof inputs, "%s %s", sum, parts[i]);
        write_sum(w, inputs, next);
        memcpy(sum, next, sizeof sum);
    }
    onnx_writer_tensor(w, "bias", ONNXD_FLOAT32, 1, (int64_t[]){1}, &bias);
    snprintf(inputs, sizeof inputs, "%s bias", sum);
    write_sum(w, inputs, "logit");
    onnx_writer_node(w, "Sigmoid", "output", "logit", "output");
}

static onnxd_status write_graph(struct onnx_writer *w, const struct deepfm *m, float bias,
                                struct buf *embedded, struct buf *linear, struct buf *numbers,
                                onnxd_error *err)
{
    const struct ctr_shape *shape = m->shape;
    const float one = 1;
    onnx_writer_input(w, "input", ONNXD_FLOAT32, 2, (int64_t[]){-1, shape->n_columns}, "batch");
    int64_tensor(w, "axis_1", 1);
    int64_tensor(w, "axis_2", 2);
    onnx_writer_tensor(w, "one", ONNXD_FLOAT32, 0, NULL, &one);
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        onnxd_status status = write_field(w, m, i, embedded, linear, err);
        if (status != ONNXD_OK) return status;
    }
    write_numbers(w, shape, numbers);
    if (shape->n_fields > 0) {
        write_concat(w, embedded, "embedded");
        write_fm(w, shape);
    }
    if (shape->net.n_hidden > 0) {
        bool both = shape->n_fields > 0 && shape->n_dense > 0;
        onnx_writer_node(w, both ? "Concat" : "Identity", "inputs",
                         both                  ? "embedded numbers"
                         : shape->n_fields > 0 ? "embedded"
                                               : "numbers",
                         "inputs");
        if (both) onnx_writer_attr_int(w, "axis", 1);
        write_deep(w, m);
    }
    write_linear(w, m, linear);
    if (shape->net.n_crosses > 0) {
        onnxd_status status = write_crosses(w, m, err);
        if (status != ONNXD_OK) return status;
    }
    write_logit(w, shape, bias);
    onnx_writer_output(w, "output", ONNXD_FLOAT32, 2, (int64_t[]){-1, 1}, "batch");
    return ONNXD_OK;
}

onnxd_status ctr_to_onnx(const struct deepfm *model, double offset, struct buf *out, onnxd_error *err)
{
    struct onnx_writer w;
    struct buf embedded, linear, numbers;
    buf_init(&embedded, MAX_LIST_BYTES);
    buf_init(&linear, MAX_LIST_BYTES);
    buf_init(&numbers, MAX_LIST_BYTES);
    onnx_writer_init(&w, "deepfm", OPSET);
    onnxd_status status = write_graph(&w, model, (float)(model->dense[0] + offset), &embedded, &linear,
                                      &numbers, err);
    if (status == ONNXD_OK && (embedded.failed || linear.failed || numbers.failed))
        status = error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory for %u fields", model->shape->n_fields);
    if (status == ONNXD_OK) status = onnx_writer_finish(&w, out, err);
    onnx_writer_done(&w);
    buf_done(&embedded);
    buf_done(&linear);
    buf_done(&numbers);
    return status;
}

void ctr_model_name(const struct fit_options *options, const struct ctr_shape *shape, char *out, size_t size)
{
    char layers[CTR_MAX_HIDDEN * 5 + 1] = "", negatives[20] = "", crosses[20] = "";
    for (uint32_t i = 0; i < shape->net.n_hidden; i++)
        snprintf(layers + strlen(layers), sizeof layers - strlen(layers), "%u", shape->net.hidden[i]);
    if (options->negatives > 0) snprintf(negatives, sizeof negatives, "_neg%u", options->negatives);
    if (shape->net.n_crosses > 0) snprintf(crosses, sizeof crosses, "_cross%u", shape->net.n_crosses);
    snprintf(out, size, "deepfm_emb%u_lr%.6g_dnn%s%s%s_best", shape->net.embedding, options->rate, layers,
             crosses, negatives);
}
