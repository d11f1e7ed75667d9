#include "onnxd_trial_print.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cpus.h"
#include "load/load_report.h"

/* ---- setting up ------------------------------------------------------------------------------------ */

static bool add_word(struct trial_setup *s, uint32_t *n, const char *word)
{
    if (*n == DEPLOYMENT_MAX_WORDS) return false;
    s->words[(*n)++] = word;
    s->words[*n] = NULL;
    return true;
}

static bool add_words(const struct trial_arguments *a, struct trial_setup *s)
{
    uint32_t n = 0;
    char *state = NULL;
    bool ok = add_word(s, &n, a->model != NULL ? "--model" : "--repository") &&
              add_word(s, &n, a->model != NULL ? a->model : a->repository);
    if (s->workers[0] != 0) ok = ok && add_word(s, &n, "--workers") && add_word(s, &n, s->workers);
    for (char *word = strtok_r(s->serve, " \t", &state); word != NULL; word = strtok_r(NULL, " \t", &state))
        ok = ok && add_word(s, &n, word);
    return ok;
}

/* Servers are given theirs when they are started; this process, and nginx with it, takes the others. */
static int part_cpus(const struct cli_command *command, const struct cli_numbers *servers)
{
    uint32_t all[CPUS_MAX], others[CPUS_MAX], n_all = cpus_list(all), n_others = 0, n_found = 0;
    if (servers->n == 0) return CLI_GO_ON;
    for (uint32_t i = 0; i < n_all; i++) {
        bool is_server = false;
        for (uint32_t k = 0; k < servers->n; k++) is_server |= servers->items[k] == all[i];
        n_found += is_server;
        if (!is_server) others[n_others++] = all[i];
    }
    if (n_found < servers->n)
        return cli_usage_error(command,
                               "--server-cpus: one is named twice, or may not be used (taskset -p $$)");
    if (n_others == 0) return cli_usage_error(command, "--server-cpus: none is left for the client");
    if (!cpus_bind(others, n_others))
        return cli_usage_error(command, "--server-cpus: the system does not let this process choose");
    return CLI_GO_ON;
}

int trial_setup_make(const struct cli_command *command, const struct trial_arguments *a,
                     uint32_t default_workers, struct trial_setup *s)
{
    onnxd_error err;
    *s = (struct trial_setup){.n_cpus = cpus_usable()};
    if ((a->model == NULL) == (a->repository == NULL))
        return cli_usage_error(command, "give one of --model and --repository");
    if (a->model != NULL && access(a->model, R_OK) != 0)
        return cli_usage_error(command, "--model: '%s' cannot be read", a->model);
    uint32_t workers = a->workers > 0 ? a->workers : default_workers;
    if (workers > 0) snprintf(s->workers, sizeof s->workers, "%u", workers);
    if (a->serve != NULL && strlen(a->serve) >= sizeof s->serve)
        return cli_usage_error(command, "--serve: more than %zu characters", sizeof s->serve - 1);
    if (a->serve != NULL) strcpy(s->serve, a->serve);
    if (!add_words(a, s)) return cli_usage_error(command, "--serve: too many words");
    if (child_own_program(s->program, sizeof s->program, &err) != ONNXD_OK)
        return cli_fail(command->name, &err);
    int code = part_cpus(command, &a->server_cpus);
    return code == CLI_GO_ON ? load_make_plan(command, &a->load, &s->plan) : code;
}

int trial_make_target(const struct cli_command *command, const struct trial_arguments *a,
                      const struct trial_setup *setup, const struct deployment *deployment,
                      struct load_target *ret)
{
    char url[1200];
    const char *path = a->path != NULL ? a->path : a->load.random == LOAD_RANDOM_BINARY ? "/" : "/predict";
    snprintf(url, sizeof url, "%s%s%s", deployment->url, path[0] == '/' ? "" : "/", path);
    return load_make_target(command, &a->load, &setup->plan, url, 1, ret);
}

/* ---- printing -------------------------------------------------------------------------------------- */

void trial_print_configuration(const struct trial_arguments *a, const struct trial_setup *setup,
                               const struct load_target *target)
{
    char what[160];
    struct load_result shape = {.options = setup->plan};
    load_describe(&shape, what, sizeof what);
    printf("Configuration\n  server    onnxd serve");
    for (uint32_t i = 0; setup->words[i] != NULL; i++) printf(" %s", setup->words[i]);
    printf("\n  load      %s: %s, %g s after %g s of warm-up\n",
           a->tool == TRIAL_WRK ? "wrk" : "onnxd bench load", what, (double)load_total_ns(&setup->plan) / 1e9,
           a->tool == TRIAL_WRK ? 0.0 : (double)setup->plan.warm_up_ns / 1e9);
    printf("  requests  %s, %u different ones, %.0f bytes on average, %u row%s each\n", target->url.path,
           target->corpus.n, target->corpus.mean_bytes, a->load.batch, a->load.batch == 1 ? "" : "s");
    if (a->server_cpus.n == 0)
        printf("  machine   %u CPUs, which servers and client share\n", setup->n_cpus);
    else
        printf("  machine   %u CPUs, %u of them for the servers alone\n", setup->n_cpus, a->server_cpus.n);
    fflush(stdout);
}

static void print_part(const char *name, double us, double requests, double whole, const char *what)
{
    printf("  %-8s %9.2f us %6.1f %%   %s\n", name, us / requests, whole > 0 ? us / whole * 100 : 0, what);
}

void trial_print_split(const struct trial *t)
{
    const struct server_split *s = &t->split;
    if (s->requests <= 0) return;
    double known = s->queue_us + s->parse_us + s->run_us + s->write_us;
    printf("Where a request's time went in the server (its own figures, mean of %.0f)\n", s->requests);
    print_part("queue", s->queue_us, s->requests, s->request_us, "waiting for its turn");
    print_part("parse", s->parse_us, s->requests, s->request_us, "reading the inputs");
    print_part("run", s->run_us, s->requests, s->request_us, "the model, with the others of its batch");
    print_part("write", s->write_us, s->requests, s->request_us, "writing the answer");
    print_part("other", s->request_us > known ? s->request_us - known : 0, s->requests, s->request_us,
               "others of the same wake-up");
    print_part("all", s->request_us, s->requests, s->request_us, "from its first byte to its answer");
    if (s->runs > 0) printf("  batches  %9.2f rows a run\n", s->rows / s->runs);
    if (s->wakeups > 0) printf("  wake-ups %9.2f rows each\n", t->rows_per_wakeup);
}

void trial_print_processes(const struct trial *t)
{
    printf("Processes\n      pid  name               CPUs   memory  threads  waits/s  displaced/s\n");
    double seconds = t->seconds > 0 ? t->seconds : 1;
    for (uint32_t i = 0; i < t->n_processes; i++) {
        const struct process_usage *p = &t->processes[i];
        printf("  %7d  %-16s %6.2f %6.1fMB %8u %8.0f %12.0f\n", (int)p->pid, p->name,
               (double)p->cpu_ns / 1e9 / seconds, (double)p->resident_bytes / 1048576, p->n_threads,
               (double)p->n_waits / seconds, (double)p->n_displaced / seconds);
    }
    printf("  client             %6.2f CPUs, %.2f us a request\n", t->client_cpus, t->median.client_cpu_us);
    printf("  servers            %6.2f CPUs, %.2f us a request", t->server_cpus, t->server_cpu_us);
    if (t->nginx_cpus > 0) printf("; nginx %.2f CPUs, %.2f us a request", t->nginx_cpus, t->nginx_cpu_us);
    printf("\n");
}

void trial_print_bottlenecks(const struct trial *t, const struct trial_arguments *a,
                             const struct trial_setup *setup)
{
    struct bottleneck found[BOTTLENECK_MAX];
    uint32_t workers = a->workers > 0 ? a->workers : setup->n_cpus;
    uint32_t n = bottleneck_find(t, load_is_open(&setup->plan), setup->n_cpus, workers, found);
    printf("Bottleneck\n");
    for (uint32_t i = 0; i < n; i++)
        printf("  %s: %s.\n    %s\n", bottleneck_name(found[i].kind), found[i].finding, found[i].advice);
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void member(struct json_writer *w, const char *name, double value)
{
    json_key(w, name);
    json_fixed(w, value, 6);
}

static void json_processes(struct json_writer *w, const struct trial *t)
{
    json_key(w, "processes");
    json_begin_array(w);
    for (uint32_t i = 0; i < t->n_processes; i++) {
        const struct process_usage *p = &t->processes[i];
        json_begin_object(w);
        json_key(w, "name");
        json_string(w, p->name);
        json_key(w, "server");
        json_bool(w, i < t->n_server_processes);
        member(w, "cpus", (double)p->cpu_ns / 1e9 / (t->seconds > 0 ? t->seconds : 1));
        member(w, "resident_bytes", (double)p->resident_bytes);
        json_end_object(w);
    }
    json_end_array(w);
}

void trial_json(struct json_writer *w, const struct trial *t, const struct trial_arguments *a,
                const struct trial_setup *setup)
{
    struct bottleneck found[BOTTLENECK_MAX];
    uint32_t n = bottleneck_find(t, load_is_open(&setup->plan), setup->n_cpus,
                                 a->workers > 0 ? a->workers : setup->n_cpus, found);
    member(w, "rounds", t->n_rounds);
    member(w, "requests_per_s", t->median.rate);
    member(w, "p50_us", t->median.p50_ns / 1e3);
    member(w, "p99_us", t->median.p99_ns / 1e3);
    member(w, "max_us", t->median.max_ns / 1e3);
    member(w, "error_share", t->median.error_share);
    member(w, "server_cpu_us_per_request", t->server_cpu_us);
    member(w, "server_cpu_system_share", t->system_share);
    member(w, "server_waits_per_request", t->waits_per_request);
    member(w, "rows_per_wakeup", t->rows_per_wakeup);
    member(w, "nginx_cpu_us_per_request", t->nginx_cpu_us);
    member(w, "client_cpu_us_per_request", t->median.client_cpu_us);
    member(w, "server_memory_bytes", t->memory_bytes);
    member(w, "server_memory_growth_bytes_per_s", t->memory_growth_bytes_s);
    double requests = t->split.requests > 0 ? t->split.requests : 1;
    member(w, "queue_us", t->split.queue_us / requests);
    member(w, "parse_us", t->split.parse_us / requests);
    member(w, "run_us", t->split.run_us / requests);
    member(w, "write_us", t->split.write_us / requests);
    json_processes(w, t);
    json_key(w, "bottlenecks");
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) {
        json_begin_object(w);
        json_key(w, "kind");
        json_string(w, bottleneck_name(found[i].kind));
        json_key(w, "finding");
        json_string(w, found[i].finding);
        json_key(w, "advice");
        json_string(w, found[i].advice);
        json_end_object(w);
    }
    json_end_array(w);
}
