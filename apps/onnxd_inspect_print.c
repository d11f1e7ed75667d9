#include "onnxd_inspect_print.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "json/json_writer.h"

#define MAX_JSON_BYTES ((size_t)64 << 20)

/* ---- text ---------------------------------------------------------------------------------------- */

static void print_io(const char *kind, const onnxd_io_info *info)
{
    printf("%-9s %s  %s[", kind, info->name, onnxd_type_name(info->type));
    if (info->rank < 0) printf("rank not given");
    for (int32_t i = 0; i < info->rank; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (info->dims[i] >= 0)
            printf("%s%" PRId64, comma, info->dims[i]);
        else
            printf("%s%s", comma, info->dim_names[i] != NULL ? info->dim_names[i] : "?");
    }
    printf("]\n");
}

static const char *feature_kind_name(enum feature_kind kind)
{
    static const char *const names[] = {"category", "categories", "number"};
    return names[kind];
}

static void print_features(const struct feature_set *set)
{
    for (uint32_t i = 0; set != NULL && i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        printf("%-9s %s  %s, column %u", i == 0 ? "features" : "", info->name, feature_kind_name(info->kind),
               info->first_column);
        if (info->n_columns > 1) printf("..%u", info->first_column + info->n_columns - 1);
        if (info->n_ids > 0) printf(", %u ids", info->n_ids);
        printf("\n");
    }
}

/* "1.43 MB" in a static buffer of its own for each of four calls. */
static const char *bytes_text(uint64_t n)
{
    static char texts[4][24];
    static unsigned next;
    char *text = texts[next++ % 4];
    static const char *const units[] = {"B", "KB", "MB", "GB"};
    double x = (double)n;
    int unit = 0;
    while (unit < 3 && x >= 1000) x /= 1000, unit++;
    snprintf(text, sizeof texts[0],
             unit == 0 ? "%.0f %s"
             : x < 10  ? "%.2f %s"
             : x < 100 ? "%.1f %s"
                       : "%.0f %s",
             x, units[unit]);
    return text;
}

static void print_counts(const char *title, const struct operator_counts *counts)
{
    int column = printf("%-9s %u nodes:", title, counts->n_nodes);
    for (uint32_t i = 0; i < counts->n; i++) {
        const struct operator_count *c = &counts->items[i];
        if (column > 90) column = printf("\n%*s", 10, "") - 1;
        column += printf(" %s%s%s %u%s", c->domain, c->domain[0] != 0 ? "." : "", c->name, c->n,
                         i + 1 < counts->n ? "," : "");
    }
    printf("\n");
}

static void shape_text(const struct plan_step *step, char *out, size_t n)
{
    const onnxd_tensor *tensor = step->out;
    size_t used = 0;
    out[0] = 0;
    if (tensor == NULL) {
        snprintf(out, n, "during the run");
        return;
    }
    for (uint32_t i = 0; i < tensor->rank && used < n; i++)
        used += (size_t)snprintf(out + used, n - used, "%s%" PRId64, i > 0 ? "x" : "", tensor->dims[i]);
    if (tensor->rank == 0) used = (size_t)snprintf(out, n, "scalar");
    if (step->n_out > 1 && used < n) snprintf(out + used, n - used, " +%u", step->n_out - 1);
}

static double sum_of(const double *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += x[i];
    return sum;
}

static void print_steps(const struct inspection *ins)
{
    uint32_t n = plan_probe_n_steps(ins->probe);
    double total_ns = ins->step_ns != NULL ? sum_of(ins->step_ns, n) : 0;
    printf("\nplan for %u row%s, %u step%s\n", ins->tile_rows > 0 ? ins->tile_rows : ins->batch,
           (ins->tile_rows > 0 ? ins->tile_rows : ins->batch) == 1 ? "" : "s", n, n == 1 ? "" : "s");
    printf("%4s  %-20s %-16s %10s %10s %9s", "step", "operator", "output", "read", "written", "MFLOP");
    if (ins->step_ns != NULL) printf(" %9s %6s", "us", "share");
    printf("  name\n");
    for (uint32_t i = 0; i < n; i++) {
        struct plan_step step = plan_probe_step(ins->probe, i);
        char shape[96], op[64];
        shape_text(&step, shape, sizeof shape);
        snprintf(op, sizeof op, "%s%s%s", step.domain, step.domain[0] != 0 ? "." : "", step.op);
        printf("%4u  %-20s %-16s %10s %10s %9.4f", i + 1, op, shape, bytes_text(step.read_bytes),
               bytes_text(step.written_bytes), (double)step.flops / 1e6);
        if (ins->step_ns != NULL)
            printf(" %9.3f %5.1f%%", ins->step_ns[i] / 1e3,
                   total_ns > 0 ? 100 * ins->step_ns[i] / total_ns : 0.0);
        printf("  %s\n", step.name);
    }
    printf("%4s  %-20s %-16s %10s %10s %9.4f", "", "all steps", "", "", "",
           (double)plan_probe_flops(ins->probe) / 1e6);
    if (ins->step_ns != NULL)
        printf(" %9.3f\nwhole run, not taken apart: %.3f us (medians)", total_ns / 1e3, ins->run_ns / 1e3);
    printf("\n");
}

void inspection_print(const struct inspection *ins, bool with_steps)
{
    onnxd_model *model = ins->model;
    printf("%-9s %s, %s\n", "file", ins->path, bytes_text(ins->file_bytes));
    printf("%-9s %s\n", "producer", ins->facts.producer[0] != 0 ? ins->facts.producer : "not named");
    printf("%-9s %" PRId64 ", IR version %" PRId64 "\n", "opset", ins->facts.opset, ins->facts.ir_version);
    for (uint32_t i = 0; i < onnxd_model_n_inputs(model); i++) print_io("input", onnxd_model_input(model, i));
    for (uint32_t i = 0; i < onnxd_model_n_outputs(model); i++)
        print_io("output", onnxd_model_output(model, i));
    print_features(ins->fields.set);
    printf("%-9s %s; rows %s share a run\n", "engine", onnxd_model_engine_name(model),
           onnxd_model_is_batchable(model) ? "may" : "must not");
    print_counts("exported", &ins->before);
    if (ins->after.n_nodes > 0) print_counts("runs as", &ins->after);
    printf("%-9s weights %s", "memory", bytes_text(ins->weight_bytes));
    if (ins->model_bytes > 0) printf(", model %s", bytes_text(ins->model_bytes));
    if (ins->session_bytes > 0)
        printf(", session for %u row%s %s", ins->batch, ins->batch == 1 ? "" : "s",
               bytes_text(ins->session_bytes));
    if (ins->probe != NULL)
        printf(" (arena %s, program %s)", bytes_text(plan_probe_arena_bytes(ins->probe)),
               bytes_text(plan_probe_program_bytes(ins->probe)));
    printf("\n");
    if (ins->tile_rows > 0)
        printf("%-9s a batch of %u runs in tiles of %u rows\n", "tiles", ins->batch, ins->tile_rows);
    if (ins->no_plan != NULL) printf("%-9s none for %u rows: %s\n", "plan", ins->batch, ins->no_plan);
    if (with_steps && ins->probe != NULL) print_steps(ins);
    if (with_steps && ins->probe == NULL)
        printf("\nonly the native engine shows a plan; this model runs on %s\n",
               onnxd_model_engine_name(model));
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static void write_io(struct json_writer *w, const onnxd_io_info *info)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string(w, info->name);
    json_key(w, "type");
    json_string(w, onnxd_type_name(info->type));
    json_key(w, "shape");
    if (info->rank < 0) {
        json_null(w);
    } else {
        json_begin_array(w);
        for (int32_t i = 0; i < info->rank; i++) {
            if (info->dims[i] >= 0)
                json_i64(w, info->dims[i]);
            else
                json_string(w, info->dim_names[i] != NULL ? info->dim_names[i] : "?");
        }
        json_end_array(w);
    }
    json_end_object(w);
}

static void write_counts(struct json_writer *w, const char *key, const struct operator_counts *counts)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < counts->n; i++) {
        json_begin_object(w);
        json_key(w, "domain");
        json_string(w, counts->items[i].domain);
        json_key(w, "operator");
        json_string(w, counts->items[i].name);
        json_key(w, "n");
        json_u64(w, counts->items[i].n);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_u64(struct json_writer *w, const char *key, uint64_t x)
{
    json_key(w, key);
    json_u64(w, x);
}

static void write_steps(struct json_writer *w, const struct inspection *ins)
{
    json_key(w, "steps");
    json_begin_array(w);
    for (uint32_t i = 0; i < plan_probe_n_steps(ins->probe); i++) {
        struct plan_step step = plan_probe_step(ins->probe, i);
        json_begin_object(w);
        json_key(w, "domain");
        json_string(w, step.domain);
        json_key(w, "operator");
        json_string(w, step.op);
        json_key(w, "name");
        json_string(w, step.name);
        json_key(w, "dynamic");
        json_bool(w, step.dynamic);
        if (step.out != NULL) {
            json_key(w, "output");
            json_begin_array(w);
            for (uint32_t k = 0; k < step.out->rank; k++) json_i64(w, step.out->dims[k]);
            json_end_array(w);
        }
        write_u64(w, "read_bytes", step.read_bytes);
        write_u64(w, "written_bytes", step.written_bytes);
        write_u64(w, "flops", step.flops);
        if (ins->step_ns != NULL) {
            json_key(w, "ns");
            json_fixed(w, ins->step_ns[i], 1);
        }
        json_end_object(w);
    }
    json_end_array(w);
    if (ins->step_ns != NULL) {
        json_key(w, "run_ns");
        json_fixed(w, ins->run_ns, 1);
    }
}

static void json_features(struct json_writer *w, const struct feature_set *set)
{
    json_key(w, "features");
    json_begin_array(w);
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        json_begin_object(w);
        json_key(w, "name");
        json_string(w, info->name);
        json_key(w, "kind");
        json_string(w, feature_kind_name(info->kind));
        json_key(w, "column");
        json_u64(w, info->first_column);
        json_key(w, "columns");
        json_u64(w, info->n_columns);
        if (info->n_ids > 0) {
            json_key(w, "ids");
            json_u64(w, info->n_ids);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_inspection(struct json_writer *w, const struct inspection *ins, bool with_steps)
{
    json_begin_object(w);
    json_key(w, "file");
    json_string(w, ins->path);
    write_u64(w, "file_bytes", ins->file_bytes);
    json_key(w, "producer");
    json_string(w, ins->facts.producer);
    json_key(w, "opset");
    json_i64(w, ins->facts.opset);
    json_key(w, "ir_version");
    json_i64(w, ins->facts.ir_version);
    json_key(w, "engine");
    json_string(w, onnxd_model_engine_name(ins->model));
    json_key(w, "batchable");
    json_bool(w, onnxd_model_is_batchable(ins->model));
    json_key(w, "inputs");
    json_begin_array(w);
    for (uint32_t i = 0; i < onnxd_model_n_inputs(ins->model); i++)
        write_io(w, onnxd_model_input(ins->model, i));
    json_end_array(w);
    json_key(w, "outputs");
    json_begin_array(w);
    for (uint32_t i = 0; i < onnxd_model_n_outputs(ins->model); i++)
        write_io(w, onnxd_model_output(ins->model, i));
    json_end_array(w);
    if (ins->fields.set != NULL) json_features(w, ins->fields.set);
    write_u64(w, "n_nodes_exported", ins->before.n_nodes);
    write_counts(w, "exported", &ins->before);
    write_u64(w, "n_nodes", ins->after.n_nodes);
    write_counts(w, "operators", &ins->after);
    write_u64(w, "weight_bytes", ins->weight_bytes);
    write_u64(w, "model_bytes", ins->model_bytes);
    write_u64(w, "session_bytes", ins->session_bytes);
    write_u64(w, "batch", ins->batch);
    write_u64(w, "tile_rows", ins->tile_rows);
    if (ins->probe != NULL) {
        write_u64(w, "arena_bytes", plan_probe_arena_bytes(ins->probe));
        write_u64(w, "program_bytes", plan_probe_program_bytes(ins->probe));
        write_u64(w, "flops", plan_probe_flops(ins->probe));
        if (with_steps) write_steps(w, ins);
    }
    json_end_object(w);
}

onnxd_status inspection_print_json(const struct inspection *ins, bool with_steps, onnxd_error *err)
{
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, MAX_JSON_BYTES);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    write_inspection(&w, ins, with_steps);
    buf_append_char(&buf, '\n');
    onnxd_status status = json_writer_finish(&w, err);
    if (status == ONNXD_OK && fwrite(buf.data, 1, buf.n, stdout) != buf.n)
        status = error_set(err, ONNXD_ERR_IO, "standard output cannot be written");
    buf_done(&buf);
    return status;
}
