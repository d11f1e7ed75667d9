/* onnxd inspect: what a model takes, gives and costs. */
#include "base/error.h"
#include "base/file.h"
#include "bench/plan_probe.h"
#include "cli_options.h"
#include "cli_precision.h"
#include "engine/native_model.h"
#include "onnxd_commands.h"
#include "onnxd_inspect_print.h"

#include <stdlib.h>
#include <string.h>

struct inspect_options {
    int engine, precision;
    uint32_t batch, runs;
    uint64_t seed;
    bool plan, profile, json;
};

static const struct cli_option options[] = {
    {"batch", CLI_U32, CLI_AT(struct inspect_options, batch), "N", "rows to plan for", .min = 1,
     .max = 65536},
    {"plan", CLI_FLAG, CLI_AT(struct inspect_options, plan),
     .help = "shows the program: each step with its output's shape, bytes read and written, and work"},
    {"profile", CLI_FLAG, CLI_AT(struct inspect_options, profile),
     .help = "shows the program with each step's time and share, medians of runs with random inputs"},
    {"runs", CLI_U32, CLI_AT(struct inspect_options, runs), "N", "runs of a profile", .min = 1,
     .max = 100000},
    {"seed", CLI_U64, CLI_AT(struct inspect_options, seed), "N", "of the random inputs"},
    {"engine", CLI_CHOICE, CLI_AT(struct inspect_options, engine), "auto|native|onnxruntime",
     "what loads the model"},
    {"precision", CLI_CHOICE, CLI_AT(struct inspect_options, precision), "fp32|bf16",
     "what weights are packed in"},
    {"json", CLI_FLAG, CLI_AT(struct inspect_options, json), .help = "prints one JSON object"},
};

static const struct cli_command command = {"onnxd inspect",      "Shows what a model takes, gives and costs.",
                                           CLI_TABLE(options),   .positionals = "MODEL",
                                           .min_positionals = 1, .max_positionals = 1};

/* ---- operators ----------------------------------------------------------------------------------- */

static int by_count(const void *a, const void *b)
{
    const struct operator_count *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* Bodies of control flow are counted with the graph that holds them. */
static bool count_operators(const struct graph *graph, struct arena *arena, struct operator_counts *counts)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        uint32_t k = 0;
        while (k < counts->n && (strcmp(counts->items[k].name, node->op_type) != 0 ||
                                 strcmp(counts->items[k].domain, node->domain) != 0))
            k++;
        if (k == counts->n) {
            if (counts->n == INSPECT_MAX_OPERATORS) continue;
            counts->items[counts->n++] = (struct operator_count){arena_strdup(arena, node->domain),
                                                                 arena_strdup(arena, node->op_type), 0};
            if (counts->items[k].domain == NULL || counts->items[k].name == NULL) return false;
        }
        counts->items[k].n++;
        counts->n_nodes++;
        for (uint32_t a = 0; a < node->n_attributes; a++)
            if (node->attributes[a].kind == ATTRIBUTE_GRAPH &&
                !count_operators(node->attributes[a].graph, arena, counts))
                return false;
    }
    return true;
}

static uint64_t constant_bytes(const struct graph *graph)
{
    uint64_t n = 0;
    for (uint32_t v = 0; v < graph->n_values; v++)
        if (graph->values[v].info.constant != NULL) n += onnxd_tensor_n_bytes(graph->values[v].info.constant);
    return n;
}

static onnxd_status count_both(struct inspection *ins, struct arena *arena, onnxd_error *err)
{
    const struct native_model *native = native_model_of(ins->model);
    if (!count_operators(ins->exported, arena, &ins->before) ||
        (native != NULL && !count_operators(native->graph, arena, &ins->after)))
        return error_set(err, ONNXD_ERR_LIMIT, "no room for the operators' names");
    qsort(ins->before.items, ins->before.n, sizeof *ins->before.items, by_count);
    qsort(ins->after.items, ins->after.n, sizeof *ins->after.items, by_count);
    ins->weight_bytes = constant_bytes(ins->exported);
    if (native != NULL) ins->model_bytes = native->arena.used_bytes;
    return ONNXD_OK;
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* Inputs for the batch, or for one tile of it. */
static onnxd_status make_inputs(struct inspection *ins, struct rng *rng, onnxd_error *err)
{
    const struct native_model *native = native_model_of(ins->model);
    onnxd_status status = input_set_init(&ins->set, ins->model, ins->batch, err);
    if (status != ONNXD_OK) return status;
    status = input_ranges_init(&ins->ranges, native != NULL ? native->graph : NULL, ins->set.tensors,
                               ins->set.n, err);
    if (status != ONNXD_OK) return status;
    input_ranges_draw(&ins->ranges, rng, ins->set.tensors);
    status = plan_tile_rows(ins->model, &ins->set, &ins->tile_rows, err);
    if (status != ONNXD_OK || ins->tile_rows == 0) return status;
    input_set_done(&ins->set);
    return input_set_init(&ins->set, ins->model, ins->tile_rows, err);
}

static onnxd_status measure(struct inspection *ins, uint32_t runs, struct rng *rng, onnxd_error *err)
{
    onnxd_session *session = NULL;
    onnxd_session_options session_options = {.max_batch = ins->batch};
    onnxd_status status = onnxd_session_create(ins->model, &session_options, &session, err);
    if (status != ONNXD_OK) return status;
    ins->session_bytes = onnxd_session_memory_bytes(session);
    onnxd_session_free(session);
    if (native_model_of(ins->model) == NULL) return ONNXD_OK;
    status = make_inputs(ins, rng, err);
    if (status == ONNXD_OK) status = plan_probe_create(ins->model, &ins->set, &ins->probe, err);
    if (status != ONNXD_OK || runs == 0) return status;
    ins->step_ns = calloc(plan_probe_n_steps(ins->probe) + 1u, sizeof *ins->step_ns);
    if (ins->step_ns == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a profile");
    return plan_probe_profile(ins->probe, &ins->ranges, runs, rng, ins->step_ns, &ins->run_ns, err);
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static onnxd_status inspect(struct inspection *ins, const struct inspect_options *o, struct arena *arena,
                            onnxd_error *err)
{
    onnxd_model_options load = {.engine = (onnxd_engine)o->engine,
                                .precision = (onnxd_precision)o->precision};
    struct rng rng = rng_seed(o->seed);
    char *bytes = NULL;
    const char *slash = strrchr(ins->path, '/');
    const char *folder = slash != NULL ? arena_strndup(arena, ins->path, (size_t)(slash - ins->path) + 1)
                                       : ".";
    if (load.precision == ONNXD_PRECISION_BF16) cli_report_precision(ins->path);
    onnxd_status status = onnxd_model_load(ins->path, &load, &ins->model, err);
    if (status == ONNXD_OK) status = file_read(ins->path, (size_t)2 << 30, &bytes, &ins->file_bytes, err);
    if (status == ONNXD_OK)
        status = onnx_read(bytes, ins->file_bytes, folder, (size_t)2 << 30, arena, &ins->exported,
                           &ins->facts, err);
    free(bytes);
    if (status == ONNXD_OK) status = count_both(ins, arena, err);
    if (status != ONNXD_OK) return status;
    status = raw_fields_load(&ins->fields, ins->path, onnxd_model_input(ins->model, 0),
                             onnxd_model_n_inputs(ins->model), err);
    if (status != ONNXD_OK) return status;
    status = measure(ins, o->profile ? o->runs : 0, &rng, err);
    bool asked = o->plan || o->profile;
    if (status == ONNXD_OK || asked) return status;
    ins->no_plan = arena_strdup(arena, err->message); /* worth a line where nobody asked for the plan */
    return ONNXD_OK;
}

int onnxd_inspect_main(int argc, char **argv)
{
    struct inspect_options o = {.batch = 1, .runs = 200, .seed = 1};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    onnxd_error err;
    struct arena arena;
    arena_init(&arena, (size_t)4 << 30);
    struct inspection *ins = calloc(1, sizeof *ins);
    onnxd_status status = ins != NULL ? ONNXD_OK : error_set(&err, ONNXD_ERR_NOMEM, "no memory");
    if (status == ONNXD_OK) {
        ins->path = argv[1];
        ins->batch = o.batch;
        status = inspect(ins, &o, &arena, &err);
    }
    if (status == ONNXD_OK && o.json) status = inspection_print_json(ins, o.plan || o.profile, &err);
    if (status == ONNXD_OK && !o.json) inspection_print(ins, o.plan || o.profile);
    result = status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
    if (ins != NULL) {
        plan_probe_free(ins->probe);
        input_ranges_done(&ins->ranges);
        input_set_done(&ins->set);
        free(ins->step_ns);
        raw_fields_done(&ins->fields);
        onnxd_model_unref(ins->model);
        free(ins);
    }
    arena_done(&arena);
    return result;
}
