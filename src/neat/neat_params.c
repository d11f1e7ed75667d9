#include "neat/neat_params.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum kind { KIND_COUNT, KIND_REAL, KIND_BOOL, KIND_ACTIVATION, KIND_ACTIVATIONS, KIND_NOISE };

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
    double initial, low, high;
    const char *comment;
};

#define FIELD(name, kind, initial, low, high, comment)                               \
    {                                                                                \
#name, kind, offsetof(struct neat_params, name), initial, low, high, comment \
    }

static const struct field FIELDS[] = {
    FIELD(population_size, KIND_COUNT, 150, 2, 100000, "genomes in each generation, always exactly so many"),
    FIELD(recurrent, KIND_BOOL, 0, 0, 1, "yes: links may carry what their source held a step before"),
    FIELD(output_activation, KIND_ACTIVATION, ACTIVATION_SIGMOID, 0, 0,
          "one of sigmoid tanh relu identity gauss sin abs step"),
    FIELD(hidden_activations, KIND_ACTIVATIONS, 1 << ACTIVATION_SIGMOID, 0, 0,
          "what hidden nodes draw from: one or more of the above"),
    FIELD(activation_mutation_rate, KIND_REAL, 0, 0, 1,
          "share of children of which a hidden node draws anew"),
    FIELD(initial_link_rate, KIND_REAL, 1, 0, 1,
          "share of the input-output links that first genomes have; each output has at least one"),
    FIELD(initial_weight_range, KIND_REAL, 1, 0, 1000, "first weights are uniform within plus or minus this"),
    FIELD(max_hidden_nodes, KIND_COUNT, 500, 0, 1000000, "a genome with so many hidden nodes grows no more"),
    FIELD(max_genes, KIND_COUNT, 5000, 1, 10000000, "a genome with so many genes gets no new links"),
    FIELD(weight_mutation_rate, KIND_REAL, 0.8, 0, 1, "share of children whose weights are mutated"),
    FIELD(weight_perturb_rate, KIND_REAL, 0.9, 0, 1,
          "of such a child's weights, the share that is shifted; the others are drawn anew"),
    FIELD(weight_noise, KIND_NOISE, NOISE_UNIFORM, 0, 0, "how shifts are drawn: uniform, normal or cauchy"),
    FIELD(weight_power, KIND_REAL, 2.5, 0, 1000,
          "size of shifts: half-width of uniform, deviation of normal, scale of cauchy"),
    FIELD(weight_replace_range, KIND_REAL, 2.5, 0, 1000, "new weights are uniform within plus or minus this"),
    FIELD(weight_limit, KIND_REAL, 30, 0.001, 1e6, "weights are cut to plus or minus this"),
    FIELD(add_node_rate, KIND_REAL, 0.03, 0, 1, "share of children that split a link by a new node"),
    FIELD(add_link_rate, KIND_REAL, 0.05, 0, 1, "share of children that get a new link"),
    FIELD(recurrent_link_rate, KIND_REAL, 0.2, 0, 1, "of new links, the share that is recurrent, if allowed"),
    FIELD(toggle_rate, KIND_REAL, 0, 0, 1, "share of children that switch a link on or off"),
    FIELD(reenable_rate, KIND_REAL, 0, 0, 1, "share of children that switch their oldest disabled link on"),
    FIELD(crossover_rate, KIND_REAL, 0.75, 0, 1,
          "share of children with two parents; the others are mutants"),
    FIELD(mate_only_rate, KIND_REAL, 0.2, 0, 1, "share of children with two parents that are not mutated"),
    FIELD(interspecies_rate, KIND_REAL, 0.001, 0, 1, "share of matings with a parent of another species"),
    FIELD(average_weights_rate, KIND_REAL, 0.4, 0, 1,
          "share of matings that average matching weights; the others take either"),
    FIELD(disable_inherited_rate, KIND_REAL, 0.75, 0, 1,
          "chance that a gene disabled in either parent is disabled in the child"),
    FIELD(excess_weight, KIND_REAL, 1, 0, 1000, "c1: compatibility distance for each excess gene"),
    FIELD(disjoint_weight, KIND_REAL, 1, 0, 1000, "c2: for each disjoint gene"),
    FIELD(weight_difference_weight, KIND_REAL, 0.4, 0, 1000,
          "c3: for the mean weight difference of matching genes"),
    FIELD(small_genome_genes, KIND_COUNT, 20, 0, 1000000,
          "c1 and c2 are divided by the larger gene count from so many genes on"),
    FIELD(target_species, KIND_COUNT, 10, 1, 10000, "the threshold moves to hold about so many species"),
    FIELD(initial_threshold, KIND_REAL, 3, 0, 10000, "genomes nearer than the threshold share a species"),
    FIELD(threshold_step, KIND_REAL, 0.3, 0, 1000,
          "how far the threshold moves in a generation that misses the target; 0 keeps it"),
    FIELD(smallest_threshold, KIND_REAL, 0.3, 0, 10000, "the threshold never goes below"),
    FIELD(survival_share, KIND_REAL, 0.2, 0, 1,
          "best share of a species that may have children, at least one"),
    FIELD(elitism_min_offspring, KIND_COUNT, 5, 1, 100000,
          "species with so many children keep their champion unchanged as one of them"),
    FIELD(species_stagnation, KIND_COUNT, 15, 1, 1000000,
          "a species that did not improve for so long has no children, unless it holds the best genome"),
    FIELD(population_stagnation, KIND_COUNT, 20, 1, 1000000,
          "when nothing improved for so long, only the two best species have children"),
    FIELD(restart_generations, KIND_COUNT, 0, 0, 1000000,
          "after so many generations without success all genomes begin anew; 0 never"),
};

enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

static const char *const NOISE_NAMES[N_NOISES] = {"uniform", "normal", "cauchy"};

static void *place(struct neat_params *params, const struct field *field)
{
    return (char *)params + field->offset;
}

static uint32_t count_of(const struct neat_params *params, const struct field *field)
{
    uint32_t value;
    memcpy(&value, (const char *)params + field->offset, sizeof value);
    return value;
}

static double real_of(const struct neat_params *params, const struct field *field)
{
    double value;
    memcpy(&value, (const char *)params + field->offset, sizeof value);
    return value;
}

static bool bool_of(const struct neat_params *params, const struct field *field)
{
    return *((const char *)params + field->offset) != 0;
}

void neat_params_default(struct neat_params *ret_params)
{
    struct neat_params params;
    memset(&params, 0, sizeof params);
    for (uint32_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &FIELDS[i];
        uint32_t count = (uint32_t)f->initial;
        if (f->kind == KIND_REAL)
            memcpy(place(&params, f), &f->initial, sizeof f->initial);
        else if (f->kind == KIND_BOOL)
            *(bool *)place(&params, f) = count != 0;
        else
            memcpy(place(&params, f), &count, sizeof count);
    }
    *ret_params = params;
}

/* A whole decimal number within the field's range, finite and without leftovers. */
static bool parse_number(const struct field *field, const char *text, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !isfinite(value) || strpbrk(text, "xXpP") != NULL) return false;
    if (value < field->low || value > field->high) return false;
    if (field->kind == KIND_COUNT && value != floor(value)) return false;
    *ret_value = value;
    return true;
}

static bool parse_activations(const char *text, uint32_t *ret_set)
{
    char copy[128];
    if (strlen(text) >= sizeof copy) return false;
    strcpy(copy, text);
    uint32_t set = 0;
    char *rest = NULL;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        enum activation activation = activation_parse(word);
        if (activation == N_ACTIVATIONS) return false;
        set |= 1u << activation;
    }
    *ret_set = set;
    return set != 0;
}

static onnxd_status set_field(struct neat_params *params, const struct field *f, const char *value,
                              onnxd_error *err)
{
    uint32_t word = 0;
    double number = 0;
    switch (f->kind) {
    case KIND_COUNT:
    case KIND_REAL:
        if (!parse_number(f, value, &number))
            return error_set(err, ONNXD_ERR_RANGE, "%s: expected a %snumber in %.10g..%.10g, got '%.40s'",
                             f->key, f->kind == KIND_COUNT ? "whole " : "", f->low, f->high, value);
        word = f->kind == KIND_COUNT ? (uint32_t)number : 0;
        break;
    case KIND_BOOL:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
            return error_set(err, ONNXD_ERR_RANGE, "%s: expected yes or no, got '%.40s'", f->key, value);
        *(bool *)place(params, f) = value[0] == 'y';
        return ONNXD_OK;
    case KIND_ACTIVATION:
        word = activation_parse(value);
        if (word == N_ACTIVATIONS)
            return error_set(err, ONNXD_ERR_RANGE, "%s: expected %s, got '%.40s'", f->key, f->comment, value);
        break;
    case KIND_ACTIVATIONS:
        if (!parse_activations(value, &word))
            return error_set(err, ONNXD_ERR_RANGE, "%s: expected names of activations, got '%.40s'", f->key,
                             value);
        break;
    case KIND_NOISE:
        while (word < N_NOISES && strcmp(value, NOISE_NAMES[word]) != 0) word++;
        if (word == N_NOISES)
            return error_set(err, ONNXD_ERR_RANGE, "%s: expected uniform, normal or cauchy, got '%.40s'",
                             f->key, value);
        break;
    }
    if (f->kind == KIND_REAL)
        memcpy(place(params, f), &number, sizeof number);
    else
        memcpy(place(params, f), &word, sizeof word);
    return ONNXD_OK;
}

static uint32_t find_field(const char *key)
{
    uint32_t i = 0;
    while (i < N_FIELDS && strcmp(FIELDS[i].key, key) != 0) i++;
    return i;
}

onnxd_status neat_params_set(struct neat_params *params, const char *key, const char *value, onnxd_error *err)
{
    uint32_t i = find_field(key);
    if (i == N_FIELDS) return error_set(err, ONNXD_ERR_NOT_FOUND, "%.60s: no such parameter", key);
    return set_field(params, &FIELDS[i], value, err);
}

/* Cuts blanks at both ends in place. */
static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t') text++;
    char *end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) *--end = 0;
    return text;
}

static onnxd_status parse_line(char *line, struct neat_params *params, bool *seen, onnxd_error *err)
{
    char *comment = strchr(line, '#');
    if (comment != NULL) *comment = 0;
    line = trim(line);
    if (*line == 0) return ONNXD_OK;
    char *equals = strchr(line, '=');
    if (equals == NULL) return error_set(err, ONNXD_ERR_FORMAT, "expected 'key = value', got '%.60s'", line);
    *equals = 0;
    const char *key = trim(line), *value = trim(equals + 1);
    uint32_t i = find_field(key);
    if (i < N_FIELDS && seen[i]) return error_set(err, ONNXD_ERR_FORMAT, "%s: given twice", key);
    onnxd_status status = neat_params_set(params, key, value, err);
    if (status == ONNXD_OK) seen[i] = true;
    return status;
}

onnxd_status neat_params_parse(const char *text, size_t n, struct neat_params *ret_params, onnxd_error *err)
{
    struct neat_params params;
    neat_params_default(&params);
    bool seen[N_FIELDS] = {false};
    size_t at = 0;
    for (uint32_t number = 1; at < n; number++) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t length = newline == NULL ? n - at : (size_t)(newline - text) - at;
        char line[256];
        if (length >= sizeof line || memchr(text + at, 0, length) != NULL)
            return error_set(err, ONNXD_ERR_FORMAT, "parameters, line %u: too long or binary", number);
        memcpy(line, text + at, length);
        line[length] = 0;
        onnxd_status status = parse_line(line, &params, seen, err);
        if (status != ONNXD_OK) {
            error_prefix(err, "parameters, line %u: ", number);
            return status;
        }
        at += length + 1;
    }
    for (uint32_t i = 0; i < N_FIELDS; i++)
        if (!seen[i]) return error_set(err, ONNXD_ERR_FORMAT, "parameters: %s is missing", FIELDS[i].key);
    *ret_params = params;
    return ONNXD_OK;
}

static void print_value(const struct neat_params *params, const struct field *f, struct buf *out)
{
    char text[40];
    double real;
    switch (f->kind) {
    case KIND_COUNT: buf_printf(out, "%u", count_of(params, f)); break;
    case KIND_REAL: /* the shortest text that reads back the same */
        real = real_of(params, f);
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, real);
            if (strtod(text, NULL) == real) break;
        }
        buf_append_text(out, text);
        break;
    case KIND_BOOL: buf_append_text(out, bool_of(params, f) ? "yes" : "no"); break;
    case KIND_ACTIVATION: buf_append_text(out, activation_name(count_of(params, f))); break;
    case KIND_ACTIVATIONS:
        for (uint32_t i = 0, n = 0; i < N_ACTIVATIONS; i++)
            if (count_of(params, f) >> i & 1)
                buf_printf(out, "%s%s", n++ == 0 ? "" : " ", activation_name((enum activation)i));
        break;
    case KIND_NOISE: buf_append_text(out, NOISE_NAMES[count_of(params, f)]); break;
    }
}

void neat_params_print(const struct neat_params *params, const char *title, struct buf *out)
{
    buf_printf(out, "# %s\n", title);
    for (uint32_t i = 0; i < N_FIELDS; i++) {
        buf_printf(out, "\n# %s\n%s = ", FIELDS[i].comment, FIELDS[i].key);
        print_value(params, &FIELDS[i], out);
        buf_append_char(out, '\n');
    }
}

bool neat_params_equal(const struct neat_params *a, const struct neat_params *b)
{
    for (uint32_t i = 0; i < N_FIELDS; i++) {
        const struct field *f = &FIELDS[i];
        size_t n = f->kind == KIND_REAL   ? sizeof(double)
                   : f->kind == KIND_BOOL ? sizeof(bool)
                                          : sizeof(uint32_t);
        if (memcmp((const char *)a + f->offset, (const char *)b + f->offset, n) != 0) return false;
    }
    return true;
}
