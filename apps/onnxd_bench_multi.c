/* onnxd bench multi: several server processes, straight and behind nginx, beside one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/bench_run.h"
#include "cli_history.h"
#include "load/load_report.h"
#include "onnxd_commands.h"
#include "onnxd_trial_print.h"

enum { MAX_CASES = 16, MAX_JSON_BYTES = 1 << 20 };
enum via { VIA_BOTH, VIA_STRAIGHT, VIA_NGINX };

struct arguments {
    struct trial_arguments trial;
    struct cli_numbers processes;
    uint32_t rounds;
    int via;
    bool per_process;
    const char *history;
};

static const struct cli_option options[] = {
    {.type = CLI_HEADING, .help = "Deployments"},
    {"processes", CLI_NUMBERS, CLI_AT(struct arguments, processes), "LIST",
     "numbers of server processes; 1 is measured besides", .min = 1, .max = DEPLOYMENT_MAX_SERVERS,
     .env = "NUM_PROCESSES"},
    {"via", CLI_CHOICE, CLI_AT(struct arguments, via), "both|straight|nginx",
     "how clients reach them: through one shared port, through nginx, or one after the other"},
    {"per-process", CLI_FLAG, CLI_AT(struct arguments, per_process), NULL,
     "--connections and --rate are of each process: two get twice the load of one"},
    {"rounds", CLI_U32, CLI_AT(struct arguments, rounds), "N",
     "the deployments take turns so often; --duration is shared out among them", .min = 1,
     .max = TRIAL_MAX_ROUNDS},
    TRIAL_OPTIONS(struct arguments, trial),
    LOAD_PLAN_OPTIONS(struct arguments, trial.load),
    LOAD_REQUEST_OPTIONS(struct arguments, trial.load),
    {.type = CLI_HEADING, .help = "Results"},
    {"json", CLI_TEXT, CLI_AT(struct arguments, trial.json), "FILE", "the figures, as JSON"},
    CLI_HISTORY(struct arguments, history),
    {"quiet", CLI_FLAG, CLI_AT(struct arguments, trial.quiet), NULL, "no live view"},
};

static const struct cli_command command = {
    "onnxd bench multi",
    "Starts several server processes, straight and behind nginx, and tells what scaling costs.",
    CLI_TABLE(options),
    .notes = "onnxd bench multi --model models/deepfm.onnx --processes 1,2,4 -d 30s\n"
             "onnxd bench multi --model models/deepfm.onnx --processes 1,2,4 --server-cpus 0 "
             "--rate 5000 --per-process"};

struct bench_case {
    struct deployment deployment;
    struct trial trial;
};

struct bench {
    struct bench_case *cases; /* [n], in the order they are told */
    uint32_t n;
    struct scaling_ground ground;
};

static const char *via_name(const struct bench_case *c)
{
    return c->deployment.kind == DEPLOYMENT_NGINX ? "nginx" : "straight";
}

static const struct bench_case *find_one(const struct bench *b, const struct bench_case *like)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->cases[i].deployment.kind == like->deployment.kind && b->cases[i].deployment.n_processes == 1)
            return &b->cases[i];
    return like;
}

static struct scaling judge(const struct bench *b, const struct bench_case *c)
{
    return scaling_judge(&find_one(b, c)->trial, &c->trial, c->deployment.n_processes, &b->ground);
}

/* ---- starting and measuring ------------------------------------------------------------------------ */

/* 1 first, then the others as asked, each once. */
static uint32_t list_processes(const struct arguments *a, uint32_t *ret)
{
    uint32_t n = 1;
    ret[0] = 1;
    for (uint32_t i = 0; i < a->processes.n && n < MAX_CASES / 2; i++) {
        bool known = false;
        for (uint32_t k = 0; k < n; k++) known |= ret[k] == a->processes.items[i];
        if (!known) ret[n++] = a->processes.items[i];
    }
    return n;
}

static uint32_t load_factor(const struct arguments *a, uint32_t n_processes)
{
    return a->per_process ? n_processes : 1;
}

static onnxd_status start_all(const struct arguments *a, const struct trial_setup *setup, struct bench *b,
                              onnxd_error *err)
{
    uint32_t processes[MAX_CASES], n = list_processes(a, processes);
    for (int kind = DEPLOYMENT_STRAIGHT; kind <= DEPLOYMENT_NGINX; kind++) {
        if (a->via == (kind == DEPLOYMENT_STRAIGHT ? VIA_NGINX : VIA_STRAIGHT)) continue;
        for (uint32_t i = 0; i < n; i++) {
            bool last = i + 1 == n && (kind == DEPLOYMENT_NGINX || a->via == VIA_STRAIGHT);
            struct deployment_options o = {.program = setup->program,
                                           .words = setup->words,
                                           .kind = (enum deployment_kind)kind,
                                           .n_processes = processes[i],
                                           .connections = setup->plan.n_connections *
                                                          load_factor(a, processes[i]),
                                           .port = last ? (uint16_t)a->trial.port : 0,
                                           .server_cpus = a->trial.server_cpus.items,
                                           .n_server_cpus = a->trial.server_cpus.n};
            onnxd_status status = deployment_start(&o, &b->cases[b->n].deployment, err);
            if (status != ONNXD_OK) return status;
            b->n++;
        }
    }
    return ONNXD_OK;
}

/* Rounds in which every deployment has its turn, forth and back, so that a drifting machine meets all alike.
 */
static onnxd_status measure_all(const struct arguments *a, const struct trial_setup *setup,
                                const struct load_target *target, struct bench *b, onnxd_error *err)
{
    bool live = load_view_wanted(a->trial.quiet);
    struct trial_plan plan = {a->trial.tool, setup->plan, load_show_progress, &live};
    for (uint32_t i = 0; i < plan.load.n_stages; i++) plan.load.stages[i].duration_ns /= a->rounds;
    onnxd_status status = ONNXD_OK;
    for (uint32_t round = 0; round < a->rounds && status == ONNXD_OK; round++)
        for (uint32_t i = 0; i < b->n && status == ONNXD_OK && !load_was_interrupted(); i++) {
            struct bench_case *c = &b->cases[round % 2 == 0 ? i : b->n - 1 - i];
            struct trial_plan grown = plan;
            load_multiply(&grown.load, load_factor(a, c->deployment.n_processes));
            status = trial_round(&c->trial, &grown, &c->deployment, target, NULL, err);
        }
    load_clear_view(live);
    for (uint32_t i = 0; i < b->n; i++) trial_finish(&b->cases[i].trial);
    return status;
}

/* ---- telling --------------------------------------------------------------------------------------- */

static void print_table(const struct bench *b)
{
    printf(
        "Results (medians of the rounds; efficiency against one process reached the same way)\n"
        "  processes  via       requests/s      p50      p99   errors  servers'     server CPU  of it  rows "
        "a   "
        "waits a   nginx CPU  efficiency\n"
        "                                                              CPUs      a request  system wake-up   "
        "request   a request  rate   CPU\n");
    for (uint32_t i = 0; i < b->n; i++) {
        const struct bench_case *c = &b->cases[i];
        const struct trial *t = &c->trial;
        struct scaling s = judge(b, c);
        char p50[16], p99[16];
        load_format_time(t->median.p50_ns, p50, sizeof p50);
        load_format_time(t->median.p99_ns, p99, sizeof p99);
        printf("  %9u  %-8s %11.0f %8s %8s %6.2f %% %9.2f %11.2f us  %3.0f %% %7.2f %9.2f %8.2f us  %4.2f  "
               "%4.2f\n",
               c->deployment.n_processes, via_name(c), t->median.rate, p50, p99, t->median.error_share * 100,
               t->server_cpus, t->median.server_cpu_us, t->system_share * 100, t->rows_per_wakeup,
               t->waits_per_request, t->nginx_cpu_us, s.rate, s.cpu);
    }
}

static void print_verdicts(const struct bench *b)
{
    printf("Scale efficiency: CPU a request of 1 / that of N, and %s; 0.9 and above is good\n",
           b->ground.open_loop && !b->ground.per_process ? "rate of N / rate of 1"
                                                         : "(rate of N / rate of 1) / N");
    for (uint32_t i = 0; i < b->n; i++) {
        const struct bench_case *c = &b->cases[i];
        if (c->deployment.n_processes == 1) continue;
        struct scaling s = judge(b, c);
        printf("  %u %s: CPU %.2f (rounds from %.2f to %.2f), rate %.2f\n    %s\n", c->deployment.n_processes,
               via_name(c), s.cpu, s.cpu_low, s.cpu_high, s.rate, s.verdict);
    }
}

static onnxd_status write_json(const struct arguments *a, const struct trial_setup *setup,
                               const struct bench *b, onnxd_error *err)
{
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, MAX_JSON_BYTES);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    char load[160];
    scaling_describe(&b->ground, &setup->plan, load, sizeof load);
    json_begin_object(&w);
    json_key(&w, "n_cpus");
    json_u64(&w, setup->n_cpus);
    json_key(&w, "n_server_cpus");
    json_u64(&w, a->trial.server_cpus.n);
    json_key(&w, "load");
    json_string(&w, load);
    json_key(&w, "deployments");
    json_begin_array(&w);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct bench_case *c = &b->cases[i];
        struct scaling s = judge(b, c);
        json_begin_object(&w);
        json_key(&w, "processes");
        json_u64(&w, c->deployment.n_processes);
        json_key(&w, "via");
        json_string(&w, via_name(c));
        json_key(&w, "rate_efficiency");
        json_fixed(&w, s.rate, 4);
        json_key(&w, "cpu_efficiency");
        json_fixed(&w, s.cpu, 4);
        json_key(&w, "cpu_efficiency_low");
        json_fixed(&w, s.cpu_low, 4);
        json_key(&w, "cpu_efficiency_high");
        json_fixed(&w, s.cpu_high, 4);
        json_key(&w, "cpus_shared");
        json_bool(&w, s.shared);
        json_key(&w, "trial");
        json_begin_object(&w);
        trial_json(&w, &c->trial, &a->trial, setup);
        json_end_object(&w);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(&buf, '\n');
    onnxd_status status = file_replace(a->trial.json, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

static int keep(const struct arguments *a, const struct trial_setup *setup, const struct bench *b)
{
    struct bench_run run;
    if (a->history == NULL) return CLI_EXIT_OK;
    bench_run_begin(&run, "multi");
    bench_run_setting(&run, "model", "%s", a->trial.model != NULL ? a->trial.model : a->trial.repository);
    bench_run_setting(&run, "connections", "%u", setup->plan.n_connections);
    bench_run_setting(&run, "batch", "%u", a->trial.load.batch);
    bench_run_setting(&run, "rate", "%g", a->trial.load.rate);
    bench_run_setting(&run, "load grows", "%s", a->per_process ? "yes" : "no");
    bench_run_setting(&run, "server CPUs", "%u", a->trial.server_cpus.n);
    for (uint32_t i = 0; i < b->n; i++) {
        const struct bench_case *c = &b->cases[i];
        char name[64];
        snprintf(name, sizeof name, "requests, %u %s", c->deployment.n_processes, via_name(c));
        bench_run_value(&run, name, "1/s", BENCH_HIGHER, c->trial.median.rate);
        snprintf(name, sizeof name, "server CPU, %u %s", c->deployment.n_processes, via_name(c));
        bench_run_value(&run, name, "ns", BENCH_LOWER, c->trial.server_cpu_us * 1e3);
    }
    return cli_history_keep(command.name, a->history, &run);
}

static int tell(const struct arguments *a, const struct trial_setup *setup, const struct bench *b)
{
    onnxd_error err;
    const struct bench_case *last = &b->cases[b->n - 1];
    print_table(b);
    print_verdicts(b);
    printf("\nThe last one in detail: %u processes, %s\n", last->deployment.n_processes, via_name(last));
    trial_print_split(&last->trial);
    trial_print_processes(&last->trial);
    trial_print_bottlenecks(&last->trial, &a->trial, setup);
    if (a->trial.json != NULL && write_json(a, setup, b, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    return keep(a, setup, b);
}

static int run_bench(const struct arguments *a, const struct trial_setup *setup, struct bench *b)
{
    struct load_target target = {.weight = 1};
    onnxd_error err;
    if (start_all(a, setup, b, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    int code = trial_make_target(&command, &a->trial, setup, &b->cases[0].deployment, &target);
    if (code == CLI_GO_ON) {
        trial_print_configuration(&a->trial, setup, &target);
        char load[160];
        scaling_describe(&b->ground, &setup->plan, load, sizeof load);
        printf("  regime    %s\n  turns     %u deployments, %u rounds\n", load, b->n, a->rounds);
        fflush(stdout);
        code = measure_all(a, setup, &target, b, &err) == ONNXD_OK ? CLI_GO_ON : cli_fail(command.name, &err);
    }
    load_corpus_done(&target.corpus);
    if (code == CLI_GO_ON && load_was_interrupted()) {
        fprintf(stderr, "onnxd bench multi: interrupted\n");
        code = CLI_EXIT_FAILURE;
    }
    return code == CLI_GO_ON ? tell(a, setup, b) : code;
}

int onnxd_bench_multi_main(int argc, char **argv)
{
    struct arguments a = {.trial = TRIAL_ARGUMENTS, .processes = {{4}, 1}, .rounds = 2};
    struct trial_setup setup;
    struct bench b = {.n = 0};
    load_lengthen(argc, argv);
    int code = cli_parse(&command, argc, argv, &a, NULL);
    if (code == CLI_GO_ON && a.trial.load.profile == LOAD_PROFILE_CONNECTIONS)
        return cli_usage_error(&command, "--profile connections is of bench single and bench load");
    if (code == CLI_GO_ON) code = trial_setup_make(&command, &a.trial, 1, &setup);
    if (code != CLI_GO_ON) return code;
    if (a.trial.workers == 0) a.trial.workers = 1;
    uint32_t n_server_cpus = a.trial.server_cpus.n;
    b.ground = (struct scaling_ground){.n_cpus = n_server_cpus > 0 ? n_server_cpus : setup.n_cpus,
                                       .own_cpus = n_server_cpus > 0,
                                       .open_loop = load_is_open(&setup.plan),
                                       .per_process = a.per_process};
    b.cases = calloc(MAX_CASES, sizeof *b.cases);
    if (b.cases == NULL) return cli_exit_code(ONNXD_ERR_NOMEM);
    load_catch_interrupts();
    code = run_bench(&a, &setup, &b);
    for (uint32_t i = 0; i < b.n; i++) deployment_stop(&b.cases[i].deployment);
    free(b.cases);
    return code;
}
