/* onnxd_load_options.h - the options that say what load is sent, for `bench load`, `single` and `multi`, and
 * what is made of them: a plan, targets with their requests, and the view of a run on a terminal.
 *
 *     struct arguments { struct load_arguments load; ... };
 *     static const struct cli_option options[] = {LOAD_PLAN_OPTIONS(struct arguments, load),
 *                                                 LOAD_REQUEST_OPTIONS(struct arguments, load), ...};
 *     struct arguments a = {.load = LOAD_ARGUMENTS};
 *
 * Functions that end in an exit code have told what is wrong. */
#ifndef ONNXD_LOAD_OPTIONS_H
#define ONNXD_LOAD_OPTIONS_H

#include "cli_options.h"
#include "load/load_run.h"

enum load_pacing { LOAD_PACING_SLEEP, LOAD_PACING_BUSY };
enum load_profile { LOAD_PROFILE_NONE, LOAD_PROFILE_SPIKE, LOAD_PROFILE_SUSTAINED, LOAD_PROFILE_CONNECTIONS };
enum load_random { LOAD_RANDOM_JSON, LOAD_RANDOM_BINARY };

struct load_arguments {
    uint32_t connections, threads, pipeline, batch, variants;
    double rate;
    const char *duration, *warm_up, *timeout, *stages;
    int profile, pacing, random;
    bool poisson, new_connections, insecure;
    uint64_t seed, spin_us, sample_bytes;
    const char *body, *body_file, *rows, *method, *content_type, *ca;
    struct cli_texts headers;
};

#define LOAD_ARGUMENTS                                                                                  \
    {                                                                                                   \
        .connections = 64, .threads = 1, .pipeline = 1, .batch = 1, .duration = "10s", .warm_up = "1s", \
        .timeout = "5s", .seed = 1, .spin_us = 20, .sample_bytes = 64u << 20                            \
    }

/* clang-format off */
#define LOAD_PLAN_OPTIONS(T, M)                                                                                   \
    {.type = CLI_HEADING, .help = "Load"},                                                                        \
    {"connections", CLI_U32, CLI_AT(T, M.connections), "N", "connections of all threads together (-c)", .min = 1, \
     .max = 65000},                                                                                               \
    {"threads", CLI_U32, CLI_AT(T, M.threads), "N", "client threads (-t)", .min = 1, .max = LOAD_MAX_THREADS},    \
    {"duration", CLI_TEXT, CLI_AT(T, M.duration), "TIME", "measured time, such as 10s or 2m (-d)"},               \
    {"rate", CLI_F64, CLI_AT(T, M.rate), "N",                                                                     \
     "requests a second by the clock, whether the server keeps up or not; without it each connection sends when " \
     "its answer has come (-R)", .max = 1e8, .hides_default = true},                                              \
    {"poisson", CLI_FLAG, CLI_AT(T, M.poisson), NULL, "random gaps between requests, as from many users"},        \
    {"stages", CLI_TEXT, CLI_AT(T, M.stages), "LIST",                                                             \
     "times and rates one after another, such as 10s@1000,30s@1000-20000"},                                       \
    {"profile", CLI_CHOICE, CLI_AT(T, M.profile), "none|spike|sustained|connections",                             \
     "a ready pattern: spike is --rate (default 1000), ten times that for a quarter of the time, and --rate "     \
     "again; sustained is --rate for at least a minute; connections is one run after another with 1, 4, 16, ... " \
     "--connections, and one with a new connection for each request"},                                            \
    {"warm-up", CLI_TEXT, CLI_AT(T, M.warm_up), "TIME", "not recorded, before the measured time"},                \
    {"timeout", CLI_TEXT, CLI_AT(T, M.timeout), "TIME", "of one request"},                                        \
    {"pipeline", CLI_U32, CLI_AT(T, M.pipeline), "N", "requests under way on a connection, without --rate",       \
     .min = 1, .max = 1024},                                                                                      \
    {"new-connections", CLI_FLAG, CLI_AT(T, M.new_connections), NULL, "a new connection for each request"},       \
    {"pacing", CLI_CHOICE, CLI_AT(T, M.pacing), "sleep|busy",                                                     \
     "how --rate waits: sleep leaves the CPU to others, busy never does and is the finest"},                      \
    {"spin-us", CLI_U64, CLI_AT(T, M.spin_us), "US",                                                              \
     "with sleep, polls this long before a request is due: finer timing for more client CPU", .max = 1000000}

#define LOAD_REQUEST_OPTIONS(T, M)                                                                               \
    {.type = CLI_HEADING, .help = "Requests (none of these: random rows as the served model's description asks)"}, \
    {"random", CLI_CHOICE, CLI_AT(T, M.random), "json|binary", "how random rows are written; binary is for /v2"}, \
    {"batch", CLI_U32, CLI_AT(T, M.batch), "N", "rows in a request, random or of --rows", .min = 1, .max = 65536}, \
    {"body", CLI_TEXT, CLI_AT(T, M.body), "TEXT",                                                                \
     "body with placeholders: ${0..9} random whole number, ${0.0..1.0} random number, ${i} count"},              \
    {"rows", CLI_TEXT, CLI_AT(T, M.rows), "FILE", "a body or a row of numbers on each line"},                    \
    {"body-file", CLI_TEXT, CLI_AT(T, M.body_file), "FILE", "body sent as it is, such as binary tensors"},       \
    {"variants", CLI_U32, CLI_AT(T, M.variants), "N",                                                            \
     "different requests made from --body or at random; 0: enough of them", .max = 1048576},                     \
    {"method", CLI_TEXT, CLI_AT(T, M.method), "WORD", "POST when there is a body, else GET"},                    \
    {"content-type", CLI_TEXT, CLI_AT(T, M.content_type), "TYPE", "of the body"},                                \
    {"header", CLI_TEXTS, CLI_AT(T, M.headers), "LINE", "a further header, such as 'x-key: abc' (-H)"},          \
    {"ca", CLI_TEXT, CLI_AT(T, M.ca), "FILE", "certificates to trust with https, instead of the system's"},      \
    {"insecure", CLI_FLAG, CLI_AT(T, M.insecure), NULL, "trusts every certificate"},                             \
    {"seed", CLI_U64, CLI_AT(T, M.seed), "N", "of random bodies and gaps"},                                      \
    {"sample-memory", CLI_BYTES, CLI_AT(T, M.sample_bytes), "BYTES",                                             \
     "for exact response times; when they need more, percentiles come from a histogram (within 0.8 %)"}
/* clang-format on */

/* The short names that users of other load generators type become the long ones. */
void load_lengthen(int argc, char **argv);

/* CLI_GO_ON, or the exit code. */
int load_make_plan(const struct cli_command *command, const struct load_arguments *a,
                   struct load_options *ret);

/* Reads the URL and makes its requests, asking the server where they are to be random. CLI_GO_ON, or the exit
 * code. The caller frees with load_corpus_done. */
int load_make_target(const struct cli_command *command, const struct load_arguments *a,
                     const struct load_options *plan, const char *url, double weight,
                     struct load_target *ret);

/* Ctrl-C ends a run early and keeps what was measured; SIGTERM too. */
void load_catch_interrupts(void);
bool load_was_interrupted(void);

/* The view of a run, a load_progress_fn; `context` is a bool: whether it is shown (load_view_wanted). */
bool load_show_progress(void *context, const struct load_progress *progress);
bool load_view_wanted(bool quiet);
void load_clear_view(bool shown);

#endif
