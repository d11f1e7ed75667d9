/* neat_train bench: compares modes, threads and network sizes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "cli_options.h"
#include "evolve/remote_inference.h"
#include "evolve/run_telemetry.h"
#include "neat_train.h"

struct bench_options {
    const char *modes, *url;
    uint32_t n_runs, generations, population, concurrency, max_threads;
    uint64_t seed;
};

#define AT(member) CLI_AT(struct bench_options, member)

static const struct cli_option options[] = {
    {"modes", CLI_TEXT, AT(modes), "LIST", "cpu and remote:BATCH, parted by commas; compared on the arena"},
    {"url", CLI_TEXT, AT(url), "URL", "the server of remote modes; without it one is started"},
    {"concurrency", CLI_U32, AT(concurrency), "N", "connections of remote modes", .min = 1, .max = 1024},
    {"runs", CLI_U32, AT(n_runs), "N", "rounds, in each of which every mode runs once", .min = 1,
     .max = 1000},
    {"generations", CLI_U32, AT(generations), "N", "of each run", .min = 1},
    {"population", CLI_U32, AT(population), "N", "genomes", .min = 10, .max = 100000},
    {"max-threads", CLI_U32, AT(max_threads), "N",
     "scaling is measured up to so many; 0 means usable processors", .max = 1024},
    {"seed", CLI_U64, AT(seed), "N", "of the first round"},
};

static const struct cli_command command = {
    "neat_train bench",
    "Compares modes on the arena; without --modes, network sizes and threads.",
    CLI_TABLE(options),
};

enum { MAX_MODES = 16 };

struct mode {
    char name[32];
    uint32_t batch; /* 0: in this process */
    double seconds, rows, inference_seconds, ticks, generations, compute_seconds, requests;
};

/* "cpu,remote:1,remote:8" into modes; 0 when a word is neither. */
static uint32_t parse_modes(const char *text, struct mode *modes)
{
    uint32_t n = 0;
    while (*text != 0) {
        size_t length = strcspn(text, ",");
        if (n == MAX_MODES || length >= sizeof modes[n].name) return 0;
        modes[n] = (struct mode){.batch = 0};
        memcpy(modes[n].name, text, length);
        if (strncmp(modes[n].name, "remote:", 7) == 0)
            modes[n].batch = (uint32_t)strtoul(modes[n].name + 7, NULL, 10);
        if (modes[n].batch == 0 && strcmp(modes[n].name, "cpu") != 0) return 0;
        n++;
        text += length + (text[length] == ',');
    }
    return n;
}

static onnxd_status run_mode(const struct bench_options *o, struct mode *mode, const char *url, uint64_t seed,
                             onnxd_error *err)
{
    struct run_options run_options = {.task = &TASK_ARENA, .seed = seed, .max_generations = o->generations};
    struct remote *remote = NULL;
    struct run *run = NULL;
    struct contest_backend backend;
    onnxd_status status = ONNXD_OK;
    task_params(&TASK_ARENA, &run_options.params);
    run_options.params.population_size = o->population;
    contest_options_default(&run_options.contest);
    if (mode->batch > 0) {
        const struct remote_options remote_options = {
            .url = url, .batch = mode->batch, .concurrency = o->concurrency};
        status = remote_create(&remote_options, &remote, err);
        if (status != ONNXD_OK) return status;
        backend = remote_backend(remote);
        run_options.backend = &backend;
    }
    status = run_create(&run_options, &run, err);
    uint64_t judge_ns = 0;
    while (status == ONNXD_OK && !run->finished) {
        status = run_generation(run, err);
        if (status == ONNXD_OK) judge_ns += run->stats.evaluate_ns + run->stats.breed_ns;
    }
    if (status == ONNXD_OK && remote != NULL) status = remote_unload(remote, err);
    if (status == ONNXD_OK) {
        mode->seconds += (double)judge_ns / 1e9;
        mode->rows += (double)run->result.n_steps;
        mode->inference_seconds += (double)run->result.inference_ns / 1e9;
        mode->ticks += (double)run->result.n_ticks;
        mode->generations += run->result.n_generations;
        if (remote != NULL) {
            mode->compute_seconds += (double)remote_stats_of(remote)->compute_ns / 1e9;
            mode->requests += (double)remote_stats_of(remote)->n_requests;
        }
    }
    run_free(run);
    remote_free(remote);
    return status;
}

static void print_matrix(const struct mode *modes, uint32_t n)
{
    printf("%-12s %13s %13s %14s %14s %14s %13s %8s\n", "mode", "generations/s", "rows/s", "inference r/s",
           "inference ms/g", "server ms/g", "us a request", "ratio");
    for (uint32_t i = 0; i < n; i++) {
        const struct mode *m = &modes[i];
        double rate = m->rows / m->inference_seconds, first = modes[0].rows / modes[0].inference_seconds;
        printf("%-12s %13.3f %13.0f %14.0f %14.2f %14.2f %13.2f %8.3f\n", m->name,
               m->generations / m->seconds, m->rows / m->seconds, rate,
               m->inference_seconds * 1e3 / m->generations,
               m->batch > 0 ? m->compute_seconds * 1e3 / m->generations
                            : m->inference_seconds * 1e3 / m->generations,
               m->requests > 0 ? m->inference_seconds * 1e6 / m->requests : 0, rate / first);
    }
    printf(
        "inference r/s: rows a second of time spent waiting for answers; ratio: of that to the first mode;\n"
        "server: times told by the server summed over requests, many of which share a run.\n"
        "peak memory of this process %.1f MiB\n",
        (double)peak_memory_bytes() / (1 << 20));
}

/* Rounds alternate the modes, so that what else the machine does falls on all of them. */
static int bench_modes(const struct bench_options *o)
{
    struct mode modes[MAX_MODES];
    struct own_server server = {0};
    onnxd_error err;
    uint32_t n = parse_modes(o->modes, modes);
    if (n == 0)
        return cli_usage_error(&command, "--modes: expected cpu and remote:BATCH, got '%s'", o->modes);
    bool remote = false;
    for (uint32_t i = 0; i < n; i++) remote |= modes[i].batch > 0;
    onnxd_status status = remote && o->url == NULL ? own_server_start(&server, &err) : ONNXD_OK;
    const char *url = o->url != NULL ? o->url : server.url;
    for (uint32_t round = 0; round < o->n_runs && status == ONNXD_OK; round++)
        for (uint32_t i = 0; i < n && status == ONNXD_OK; i++)
            status = run_mode(o, &modes[(i + round) % n], url, o->seed + round, &err);
    own_server_stop(&server);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    print_matrix(modes, n);
    return CLI_EXIT_OK;
}

/* One genome grown to about n_hidden hidden nodes, timed on four rows at once. */
static onnxd_status time_network(uint32_t n_inputs, uint32_t n_outputs, uint32_t n_hidden, uint64_t seed,
                                 onnxd_error *err)
{
    const struct genome_shape shape = {.n_inputs = n_inputs, .n_outputs = n_outputs};
    struct neat_params params;
    struct innovations innovations;
    struct breeder breeder;
    struct network_compiler compiler = {0};
    struct network network;
    struct arena arena;
    struct rng rng = rng_seed(seed);
    neat_params_default(&params);
    innovations_init(&innovations, shape_first_hidden(&shape));
    breed_init(&breeder, &params, &shape, &innovations);
    arena_init(&arena, 0);
    bool ok = breed_initial(&breeder, &rng);
    for (uint32_t i = 0; ok && i < n_hidden; i++)
        ok = breed_add_node(&breeder, &rng) && breed_add_link(&breeder, &rng) &&
             breed_add_link(&breeder, &rng);
    onnxd_status status = ok ? network_compile(&compiler, &breeder.child, &shape, &arena, &network, err)
                             : error_set(err, ONNXD_ERR_NOMEM, "bench: no memory");
    uint64_t start_ns = monotonic_ns();
    uint32_t n_compiled = 0;
    for (; status == ONNXD_OK && monotonic_ns() - start_ns < 50 * NS_PER_MS; n_compiled++) {
        arena_reset(&arena);
        status = network_compile(&compiler, &breeder.child, &shape, &arena, &network, err);
    }
    double compile_ns = (double)(monotonic_ns() - start_ns) / (n_compiled > 0 ? n_compiled : 1);
    f32x4 *slots = status == ONNXD_OK ? arena_alloc(&arena, network.n_slots * sizeof *slots) : NULL;
    if (status == ONNXD_OK && slots != NULL) {
        network_reset(&network, slots);
        uint64_t n_runs = 0;
        start_ns = monotonic_ns();
        while (monotonic_ns() - start_ns < 100 * NS_PER_MS) {
            for (int i = 0; i < 64; i++) {
                slots[0][0] = (float)i; /* answers depend on the turn */
                network_activate(&network, slots);
            }
            n_runs += 64;
        }
        double ns = (double)(monotonic_ns() - start_ns) / (double)n_runs;
        printf("%6u %7u %6u %6u %12.1f %14.1f %14.2f %14.0f\n", n_inputs, n_outputs,
               network.n_nodes - n_outputs, network.n_links, compile_ns, ns, ns / 4, 4e9 / ns);
    }
    network_compiler_done(&compiler);
    breed_done(&breeder);
    innovations_done(&innovations);
    arena_done(&arena);
    return status;
}

static onnxd_status bench_threads(const struct bench_options *o, onnxd_error *err)
{
    uint32_t n_max = o->max_threads > 0 ? o->max_threads : cpus_usable();
    double first = 0;
    printf("\n%7s %13s %8s\n", "threads", "generations/s", "speedup");
    for (uint32_t n = 1; n <= n_max; n++) {
        struct run_options run_options = {
            .task = &TASK_ARENA, .seed = o->seed, .max_generations = o->generations};
        struct run *run = NULL;
        task_params(&TASK_ARENA, &run_options.params);
        run_options.params.population_size = o->population;
        contest_options_default(&run_options.contest);
        onnxd_status status = threads_create(n, &run_options.threads, err);
        if (status == ONNXD_OK) status = run_create(&run_options, &run, err);
        uint64_t judge_ns = 0;
        while (status == ONNXD_OK && !run->finished) {
            status = run_generation(run, err);
            if (status == ONNXD_OK) judge_ns += run->stats.evaluate_ns + run->stats.breed_ns;
        }
        if (status == ONNXD_OK) {
            double rate = run->result.n_generations / ((double)judge_ns / 1e9);
            if (n == 1) first = rate;
            printf("%7u %13.3f %8.2f\n", n, rate, rate / first);
        }
        run_free(run);
        threads_free(run_options.threads);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

static int bench_parts(const struct bench_options *o)
{
    static const uint32_t SIZES[][3] = {{2, 1, 0},  {2, 1, 3},   {6, 1, 2},   {16, 3, 0},
                                        {16, 3, 8}, {16, 3, 32}, {64, 8, 64}, {128, 16, 256}};
    onnxd_error err;
    onnxd_status status = ONNXD_OK;
    printf("%6s %7s %6s %6s %12s %14s %14s %14s\n", "inputs", "outputs", "hidden", "links", "compile ns",
           "4 rows, ns", "a row, ns", "rows/s");
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0] && status == ONNXD_OK; i++)
        status = time_network(SIZES[i][0], SIZES[i][1], SIZES[i][2], o->seed, &err);
    if (status == ONNXD_OK) status = bench_threads(o, &err);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}

int neat_train_bench_main(int argc, char **argv)
{
    struct bench_options o = {.n_runs = 1, .generations = 5, .population = 150, .concurrency = 4, .seed = 1};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    return o.modes != NULL ? bench_modes(&o) : bench_parts(&o);
}
