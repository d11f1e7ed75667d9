#include "evolve/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

static const char FORMAT[] = "onnxd-policy-1";

onnxd_status policy_from_genome(const struct genome *genome, const struct genome_shape *shape,
                                const char *task, uint64_t seed, double fitness, struct policy *ret_policy,
                                onnxd_error *err)
{
    struct policy policy = {.shape = *shape, .seed = seed, .fitness = fitness};
    arena_init(&policy.arena, 0);
    snprintf(policy.task, sizeof policy.task, "%s", task);
    if (!genome_copy(&policy.arena, genome, &policy.genome)) {
        policy_done(&policy);
        return error_set(err, ONNXD_ERR_NOMEM, "policy: no memory for %u genes", genome->n_genes);
    }
    *ret_policy = policy;
    return ONNXD_OK;
}

void policy_done(struct policy *policy)
{
    arena_done(&policy->arena);
    *policy = (struct policy){0};
}

onnxd_status policy_to_json(const struct policy *policy, struct buf *out, onnxd_error *err)
{
    const struct genome *genome = &policy->genome;
    struct json_writer w;
    json_writer_init(&w, out, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "format"), json_string(&w, FORMAT);
    json_key(&w, "task"), json_string(&w, policy->task);
    json_key(&w, "seed"), json_u64(&w, policy->seed);
    json_key(&w, "fitness"), json_f64(&w, policy->fitness);
    json_key(&w, "inputs"), json_u64(&w, policy->shape.n_inputs);
    json_key(&w, "outputs"), json_u64(&w, policy->shape.n_outputs);
    json_key(&w, "recurrent"), json_bool(&w, policy->shape.recurrent);
    json_key(&w, "nodes"), json_begin_array(&w);
    for (uint32_t i = 0; i < genome->n_nodes; i++) {
        json_begin_object(&w);
        json_key(&w, "id"), json_u64(&w, genome->nodes[i].id);
        json_key(&w, "activation");
        json_string(&w, activation_name((enum activation)genome->nodes[i].activation));
        json_end_object(&w);
    }
    json_end_array(&w);
    json_key(&w, "genes"), json_begin_array(&w);
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        json_begin_object(&w);
        json_key(&w, "innovation"), json_u64(&w, g->innovation);
        json_key(&w, "from"), json_u64(&w, g->from);
        json_key(&w, "to"), json_u64(&w, g->to);
        json_key(&w, "weight"), json_f32(&w, g->weight);
        json_key(&w, "enabled"), json_bool(&w, g->enabled);
        json_key(&w, "recurrent"), json_bool(&w, g->recurrent);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(out, '\n');
    return json_writer_finish(&w, err);
}

/* Growing lists of what the file holds; the arena takes them once they are whole. */
struct draft {
    struct node_gene *nodes;
    struct gene *genes;
    uint32_t n_nodes, n_genes, nodes_capacity, genes_capacity;
};

static bool grow(struct json_reader *r, void **array, uint32_t n, uint32_t *capacity, size_t size)
{
    if (n < *capacity) return true;
    uint32_t more = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = n >= GENOME_MAX_GENES ? NULL : realloc(*array, more * size);
    if (grown == NULL) return json_fail(r, ONNXD_ERR_LIMIT, "too many elements");
    *array = grown;
    *capacity = more;
    return true;
}

static bool read_u32(struct json_reader *r, uint64_t max, uint32_t *ret)
{
    uint64_t value = 0;
    if (!json_read_u64(r, &value)) return false;
    if (value > max) return json_fail(r, ONNXD_ERR_RANGE, "expected at most %llu", (unsigned long long)max);
    *ret = (uint32_t)value;
    return true;
}

/* Notes that key number `bit` was met; false when it was before. */
static bool once(struct json_reader *r, uint32_t *seen, uint32_t bit)
{
    if (*seen >> bit & 1) return json_fail(r, ONNXD_ERR_FORMAT, "given twice");
    *seen |= 1u << bit;
    return true;
}

static void require(struct json_reader *r, uint32_t seen, const char *const *keys, uint32_t n,
                    const char *where)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(seen >> i & 1)) json_fail(r, ONNXD_ERR_FORMAT, "%s: '%s' is missing", where, keys[i]);
}

/* The place of the key among the known ones; a failure, and n, for any other. */
static uint32_t find_key(struct json_reader *r, const struct json_text *key, const char *const *keys,
                         uint32_t n, uint32_t *seen)
{
    for (uint32_t i = 0; i < n; i++)
        if (json_text_is(key, keys[i])) return once(r, seen, i) ? i : n;
    json_fail(r, ONNXD_ERR_FORMAT, "unknown field");
    return n;
}

static void read_text(struct json_reader *r, char *out, size_t size)
{
    struct json_text text;
    if (!json_read_string(r, &text)) return;
    if (text.n_raw >= size) {
        json_fail(r, ONNXD_ERR_RANGE, "expected at most %zu bytes", size - 1);
        return;
    }
    out[json_text_decode(&text, out)] = 0;
}

static const char *const NODE_KEYS[] = {"id", "activation"};
static const char *const GENE_KEYS[] = {"innovation", "from", "to", "weight", "enabled", "recurrent"};
static const char *const POLICY_KEYS[] = {"format",  "task",      "seed",  "fitness", "inputs",
                                          "outputs", "recurrent", "nodes", "genes"};

static void read_node(struct json_reader *r, struct draft *draft)
{
    struct json_text key;
    struct node_gene node = {0};
    uint32_t seen = 0;
    char name[16] = "";
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        switch (find_key(r, &key, NODE_KEYS, 2, &seen)) {
        case 0: read_u32(r, GENOME_MAX_NODE, &node.id); break;
        case 1:
            read_text(r, name, sizeof name);
            node.activation = activation_parse(name);
            if (node.activation == N_ACTIVATIONS) json_fail(r, ONNXD_ERR_RANGE, "no such activation");
            break;
        }
    }
    require(r, seen, NODE_KEYS, 2, "node");
    void *nodes = draft->nodes;
    bool room = grow(r, &nodes, draft->n_nodes, &draft->nodes_capacity, sizeof *draft->nodes);
    draft->nodes = nodes;
    if (room) draft->nodes[draft->n_nodes++] = node;
}

static void read_gene(struct json_reader *r, struct draft *draft)
{
    struct json_text key;
    struct gene gene = {0};
    uint32_t seen = 0, from = 0, to = 0;
    bool enabled = false, recurrent = false;
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        switch (find_key(r, &key, GENE_KEYS, 6, &seen)) {
        case 0: read_u32(r, GENOME_MAX_GENES - 1, &gene.innovation); break;
        case 1: read_u32(r, GENOME_MAX_NODE, &from); break;
        case 2: read_u32(r, GENOME_MAX_NODE, &to); break;
        case 3: json_read_f32(r, &gene.weight); break;
        case 4: json_read_bool(r, &enabled); break;
        case 5: json_read_bool(r, &recurrent); break;
        }
    }
    require(r, seen, GENE_KEYS, 6, "gene");
    gene.from = from & INT32_MAX;
    gene.to = to & INT32_MAX;
    gene.enabled = enabled;
    gene.recurrent = recurrent;
    void *genes = draft->genes;
    bool room = grow(r, &genes, draft->n_genes, &draft->genes_capacity, sizeof *draft->genes);
    draft->genes = genes;
    if (room) draft->genes[draft->n_genes++] = gene;
}

static void read_list(struct json_reader *r, struct draft *draft,
                      void (*read)(struct json_reader *, struct draft *))
{
    json_enter_array(r);
    while (json_next_element(r)) read(r, draft);
}

static void read_policy(struct json_reader *r, struct policy *policy, struct draft *draft)
{
    struct json_text key;
    uint32_t seen = 0;
    char format[32] = "";
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        switch (find_key(r, &key, POLICY_KEYS, 9, &seen)) {
        case 0:
            read_text(r, format, sizeof format);
            if (strcmp(format, FORMAT) != 0) json_fail(r, ONNXD_ERR_FORMAT, "expected \"%s\"", FORMAT);
            break;
        case 1: read_text(r, policy->task, sizeof policy->task); break;
        case 2: json_read_u64(r, &policy->seed); break;
        case 3: json_read_f64(r, &policy->fitness); break;
        case 4: read_u32(r, 65536, &policy->shape.n_inputs); break;
        case 5: read_u32(r, 65536, &policy->shape.n_outputs); break;
        case 6: json_read_bool(r, &policy->shape.recurrent); break;
        case 7: read_list(r, draft, read_node); break;
        case 8: read_list(r, draft, read_gene); break;
        }
    }
    require(r, seen, POLICY_KEYS, 9, "policy");
    if (policy->shape.n_inputs == 0 || policy->shape.n_outputs == 0)
        json_fail(r, ONNXD_ERR_RANGE, "expected at least one input and one output");
}

onnxd_status policy_from_json(const char *bytes, size_t n, struct policy *ret_policy, onnxd_error *err)
{
    struct policy policy = {0};
    struct draft draft = {0};
    struct genome_marks marks = {0};
    struct json_reader reader;
    arena_init(&policy.arena, 0);
    json_reader_init(&reader, bytes, n, err);
    read_policy(&reader, &policy, &draft);
    onnxd_status status = json_finish(&reader);
    struct genome genome = {
        .genes = draft.genes, .n_genes = draft.n_genes, .nodes = draft.nodes, .n_nodes = draft.n_nodes};
    if (status == ONNXD_OK) status = genome_check(&marks, &genome, &policy.shape, err);
    if (status == ONNXD_OK && !genome_copy(&policy.arena, &genome, &policy.genome))
        status = error_set(err, ONNXD_ERR_NOMEM, "policy: no memory for %u genes", draft.n_genes);
    free(draft.nodes);
    free(draft.genes);
    genome_marks_done(&marks);
    if (status != ONNXD_OK)
        policy_done(&policy);
    else
        *ret_policy = policy;
    return status;
}

onnxd_status policy_read(const char *path, struct policy *ret_policy, onnxd_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, POLICY_MAX_FILE_BYTES, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    status = policy_from_json(bytes, n, ret_policy, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    free(bytes);
    return status;
}
