#include "onnxd_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "cli_precision.h"
#include "net/http_cors.h"
#include "net/net_socket.h"
#include "net/tls.h"
#include "onnxd_serve_program.h"
#include "serve/api_keys.h"
#include "serve/handover.h"
#include "serve/notify.h"
#include "serve/supervisor.h"

/* ---- what is read at start --------------------------------------------------------------------------- */

static onnxd_status read_keys(struct program *program, onnxd_error *err)
{
    if (program->settings->api_key_file == NULL) return ONNXD_OK;
    onnxd_status status = api_keys_read(program->settings->api_key_file, &program->api_keys, err);
    program->options.api_keys = program->api_keys;
    return status;
}

static onnxd_status read_tls(struct program *program, onnxd_error *err)
{
    const struct serve_settings *settings = program->settings;
    if (settings->tls_cert == NULL) return ONNXD_OK;
    onnxd_status status = tls_context_create(settings->tls_cert, settings->tls_key, &program->tls, err);
    program->options.tls = program->tls;
    return status;
}

static onnxd_status read_cors(struct program *program, onnxd_error *err)
{
    const struct cli_texts *origins = &program->settings->cors_origins;
    if (origins->n == 0) return ONNXD_OK;
    onnxd_status status = http_cors_create(origins->items, origins->n, &program->cors, err);
    program->options.cors = program->cors;
    return status;
}

/* ---- orders by request ------------------------------------------------------------------------------- */

#define ORDER_PATIENCE_NS (120 * NS_PER_S) /* with all processes, in each step of an order */
#define TAKE_OVER_PATIENCE_NS \
    (60 * NS_PER_S) /* no orders are taken meanwhile: the new program would miss them */

/* What the program before this one was told. */
static onnxd_status recall_orders(struct program *program, onnxd_error *err)
{
    int fd = -1;
    onnxd_error why;
    onnxd_status status = handover_take_orders(&fd, err);
    if (fd < 0) return status;
    if (admin_journal_take(&program->journal, fd, &why) != ONNXD_OK) log_error("%s", why.message);
    close(fd);
    return ONNXD_OK;
}

static onnxd_status prepare_orders(struct program *program, onnxd_error *err)
{
    const struct serve_settings *settings = program->settings;
    struct admin_relay_options relay = {
        .n_processes = settings->processes, .patience_ns = ORDER_PATIENCE_NS, .journal = &program->journal};
    onnxd_status status = recall_orders(program, err);
    program->options.journal = &program->journal;
    if (status != ONNXD_OK || settings->processes == 1) return status;
    status = index_board_create(settings->processes, &program->board, err);
    program->options.board = program->board;
    if (status == ONNXD_OK && settings->admin) status = admin_relay_create(&relay, &program->relay, err);
    return status;
}

/* ---- processes -------------------------------------------------------------------------------------- */

static void reopen_sockets(struct program *program, uint32_t process)
{
    onnxd_error err;
    if (program_reopen_process(program, process, &err) != ONNXD_OK)
        log_error("process %u: %s", process, err.message);
}

static void upgrade(void *context)
{
    struct program *program = context;
    onnxd_error err = {.message = "out of memory"};
    struct handover handover = {.n_sockets = program->n_fds, .orders = -1};
    int *fds = calloc((size_t)program->n_fds + 1, sizeof *fds);
    for (uint32_t p = 0; p < program->settings->processes; p++)
        reopen_sockets(program, p); /* of those away */
    log_info("SIGUSR2: starting %s with the listening sockets", program->path);
    if (fds != NULL) memcpy(fds, program->fds, program->n_fds * sizeof *fds);
    if (fds != NULL && program->options.unix_fd >= 0) fds[handover.n_sockets++] = program->options.unix_fd;
    handover.sockets = fds;
    uint64_t until_ns = monotonic_ns() + TAKE_OVER_PATIENCE_NS;
    if (fds == NULL ||
        admin_journal_hand_over(&program->journal, until_ns, &handover.orders, &err) != ONNXD_OK ||
        handover_start(program->path, program->argv, &handover, &err) != ONNXD_OK) {
        log_error("%s", err.message);
        admin_journal_thaw(&program->journal);
    }
    if (handover.orders >= 0) close(handover.orders);
    free(fds);
}

static void tell_ready(void *context)
{
    const struct program *program = context;
    const char *host = program->host;
    bool is_v6 = strchr(host, ':') != NULL;
    char url[320];
    snprintf(url, sizeof url, "%s://%s%s%s:%u", program->tls != NULL ? "https" : "http", is_v6 ? "[" : "",
             host, is_v6 ? "]" : "", program->ports[0]);
    fprintf(stderr, "listening on %s\n", url);
    handover_finish();
    notify_say(&program->notify, "READY=1\nSTATUS=listening on %s", url);
}

/* ---- the service manager ---------------------------------------------------------------------------- */

static void tell_reloading(void *context)
{
    const struct program *program = context;
    log_info("SIGHUP: looking for changed models");
    notify_say(&program->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
               (unsigned long long)(monotonic_ns() / NS_PER_US));
}

static void tell_reloaded(void *context)
{
    const struct program *program = context;
    notify_say(&program->notify, "READY=1");
}

/* A service whose program was replaced goes on; it has another main process. */
static void tell_stopping(void *context, pid_t successor)
{
    const struct program *program = context;
    if (successor > 0)
        notify_say(&program->notify, "MAINPID=%ld", (long)successor);
    else
        notify_say(&program->notify, "STOPPING=1");
}

static bool has_turned(void *context, uint32_t process)
{
    struct program *program = context;
    uint64_t turns = atomic_load(&program->telemetry.processes[process].turns);
    bool moved = turns != program->turns_seen[process];
    program->turns_seen[process] = turns;
    return moved;
}

static void feed_watchdog(void *context)
{
    const struct program *program = context;
    notify_say(&program->notify, "WATCHDOG=1");
}

/* ---- one process ------------------------------------------------------------------------------------ */

static bool is_alone(const struct program *program)
{
    return program->settings->processes == 1;
}

static void on_reloaded(void *context)
{
    if (is_alone(context))
        tell_reloaded(context);
    else
        supervisor_told();
}

static void before_restart(void *context, uint32_t process)
{
    struct program *program = context;
    telemetry_count_restart(&program->telemetry, process);
    reopen_sockets(program, process);
}

static void on_death(void *context, uint32_t process)
{
    const struct program *program = context;
    index_board_present(program->board, process, false);
}

static void close_for_now(void *context, uint32_t process)
{
    program_close_process(context, process);
}

/* Looks whether the workers go round; eight times as often as the watchdog bites, so that neither a wake-up
 * missed nor a long run counts. */
static void watch_workers(struct program *program, struct service *service)
{
    if (!service_turns(service)) return;
    atomic_fetch_add(&program->telemetry.processes[program->options.process].turns, 1);
    if (is_alone(program)) feed_watchdog(program);
}

/* The line of --stats-interval: what came since the one before, over all processes. */
static void tell_stats(const struct program *program, struct telemetry_totals *before)
{
    struct telemetry_totals now;
    telemetry_read_totals(&program->telemetry, &now);
    struct telemetry_interval last = telemetry_between(before, &now);
    *before = now;
    log_note("stats: %u s, %llu requests, mean %.0f us, p50 %.0f us, p99 %.0f us, %.2f rows a run",
             program->settings->stats_interval, (unsigned long long)last.n_requests, last.mean_us,
             last.p50_us, last.p99_us, last.rows_a_run);
}

/* What is done between signals: each is due at its time, UINT64_MAX for never. */
struct chores {
    uint64_t watch_ns, watch_at_ns;
    uint64_t stats_ns, stats_at_ns;
    struct telemetry_totals before;
};

static struct chores plan_chores(const struct program *program)
{
    uint64_t now_ns = monotonic_ns();
    bool tells = program->settings->stats_interval > 0 && program->options.process == 0;
    struct chores chores = {.watch_ns = program->notify.watchdog_ns / 8,
                            .stats_ns = program->settings->stats_interval * NS_PER_S};
    chores.watch_at_ns = chores.watch_ns > 0 ? now_ns + chores.watch_ns : UINT64_MAX;
    chores.stats_at_ns = tells ? now_ns + chores.stats_ns : UINT64_MAX;
    return chores;
}

static void do_chores(struct chores *chores, struct program *program, struct service *service)
{
    uint64_t now_ns = monotonic_ns();
    if (now_ns >= chores->watch_at_ns) {
        watch_workers(program, service);
        chores->watch_at_ns = now_ns + chores->watch_ns;
    }
    if (now_ns >= chores->stats_at_ns) {
        tell_stats(program, &chores->before);
        chores->stats_at_ns += chores->stats_ns;
    }
}

/* The next signal, or a number below 1 when a chore is due. */
static int await_signal(const sigset_t *signals, const struct chores *chores, siginfo_t *info)
{
    uint64_t due_ns = chores->watch_at_ns < chores->stats_at_ns ? chores->watch_at_ns : chores->stats_at_ns;
    uint64_t now_ns = monotonic_ns(), wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    return sigtimedwait(signals, info, due_ns == UINT64_MAX ? NULL : &wait);
}

/* The next signal that ends it. Signals are waited for here, so no other thread may take them. */
static void wait_for_end(const sigset_t *signals, struct program *program, struct service *service)
{
    siginfo_t info;
    struct chores chores = plan_chores(program);
    for (;;) {
        int number = await_signal(signals, &chores, &info);
        do_chores(&chores, program, service);
        if (number < 1) continue;
        if (number == SIGHUP) {
            if (is_alone(program)) tell_reloading(program);
            service_reload(service);
        } else if (number == SIGUSR2) {
            if (is_alone(program)) upgrade(program);
        } else {
            break;
        }
    }
    log_info("signal %d: stopping", info.si_signo);
    if (is_alone(program)) tell_stopping(program, handover_successor(&info));
}

/* Serves until told to stop. */
static int serve(void *context, uint32_t process)
{
    struct program *program = context;
    struct service *service = NULL;
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    program->options.process = process;
    program->options.admin_fd = supervisor_admin_fd();
    program->options.reloaded = on_reloaded;
    program->options.reloaded_context = program;
    uint32_t n_workers = program->options.n_workers;
    int *fds = calloc(n_workers, sizeof *fds);
    onnxd_status status = fds != NULL ? ONNXD_OK : ONNXD_ERR_NOMEM;
    for (uint32_t i = 0; status == ONNXD_OK && i < n_workers; i++) {
        /* A copy: the program keeps its own for a program that takes over, and for a process started again.
         */
        fds[i] = fcntl(program->fds[process * n_workers + i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0) status = error_set(&err, ONNXD_ERR_IO, "cannot copy a socket: %s", strerror(errno));
    }
    /* Or sockets of a process that died would stay open in its siblings, and connections in them unanswered.
     */
    if (!is_alone(program)) program_close_others(program, process);
    if (status == ONNXD_OK)
        status = service_start(&program->options, &model_backend_onnxd, &program->telemetry, fds, &service,
                               &err);
    free(fds);
    if (status != ONNXD_OK) return cli_fail(serve_command.name, &err);
    if (!is_alone(program)) admin_journal_clear(&program->journal); /* the supervisor keeps it */
    if (is_alone(program))
        tell_ready(program);
    else
        supervisor_told();
    wait_for_end(&signals, program, service);
    service_drain(service);
    if (is_alone(program)) program_close_sockets(program);
    service_stop(service);
    return CLI_EXIT_OK;
}

/* The words to start the program with: its file, then argv from the subcommand on. */
static char **words_of(struct program *program, int argc, char **argv)
{
    char **words = calloc((size_t)argc + 2, sizeof *words);
    if (words == NULL) return NULL;
    words[0] = program->path;
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    return words;
}

/* What every connection of one process needs, and models, logs and the loops beside them. */
static void allow_connections(const struct program *program)
{
    uint64_t wanted = (uint64_t)program->options.n_workers * program->settings->max_connections + 64;
    uint64_t allowed = descriptors_allow(wanted);
    if (allowed < wanted)
        log_info("%llu file descriptors are allowed; --max-connections may need %llu",
                 (unsigned long long)allowed, (unsigned long long)wanted);
}

static int run(const struct serve_settings *settings, int argc, char **argv)
{
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    struct program program = {.settings = settings,
                              .options = serve_settings_to_options(settings),
                              .notify.fd = -1,
                              .turns_seen = calloc(settings->processes, sizeof *program.turns_seen)};
    if (program.options.n_workers == 0) {
        program.options.n_workers = cpus_usable() / settings->processes;
        if (program.options.n_workers == 0) program.options.n_workers = 1;
    }
    if (program.options.n_compute == 0) program.options.n_compute = program.options.n_workers;
    ssize_t n = readlink("/proc/self/exe", program.path, sizeof program.path - 1);
    program.path[n > 0 ? n : 0] = 0;
    program.argv = words_of(&program, argc, argv);
    admin_journal_init(&program.journal);
    signal(SIGPIPE, SIG_IGN);
    allow_connections(&program);
    int code = CLI_EXIT_OK;
    if (program.argv == NULL || program.turns_seen == NULL ||
        notify_init(&program.notify, &err) != ONNXD_OK || read_keys(&program, &err) != ONNXD_OK ||
        read_tls(&program, &err) != ONNXD_OK || read_cors(&program, &err) != ONNXD_OK ||
        program_open_sockets(&program, &err) != ONNXD_OK || prepare_orders(&program, &err) != ONNXD_OK ||
        telemetry_create(settings->processes, program.options.n_workers, program.options.n_compute,
                         &program.telemetry, &err) != ONNXD_OK) {
        code = cli_fail(serve_command.name, &err);
    } else if (settings->processes == 1) {
        code = serve(&program, 0);
    } else {
        struct supervisor_options supervised = {.n_processes = settings->processes,
                                                .context = &program,
                                                .run = serve,
                                                .all_ready = tell_ready,
                                                .died = on_death,
                                                .restarted = before_restart,
                                                .is_away = close_for_now,
                                                .upgrade = upgrade,
                                                .reloading = tell_reloading,
                                                .reloaded = tell_reloaded,
                                                .stopping = tell_stopping,
                                                .watch_ns = program.notify.watchdog_ns / 4,
                                                .turns = has_turned,
                                                .all_turn = feed_watchdog,
                                                .relay = program.relay};
        code = supervisor_run(&supervised);
    }
    telemetry_done(&program.telemetry);
    admin_relay_free(program.relay);
    index_board_free(program.board);
    admin_journal_done(&program.journal);
    if (program.options.unix_fd >= 0) close(program.options.unix_fd);
    api_keys_free(program.api_keys);
    tls_context_free(program.tls);
    http_cors_free(program.cors);
    notify_done(&program.notify);
    free(program.turns_seen);
    free(program.fds);
    free(program.ports);
    free(program.argv);
    return code;
}

int onnxd_serve_main(int argc, char **argv)
{
    struct serve_settings settings;
    int code = serve_settings_read(argc, argv, &settings);
    if (code != CLI_GO_ON) return code;
    log_configure((enum log_level)settings.log_level, settings.log_format == 1);
    for (uint32_t i = 0; settings.precision == ONNXD_PRECISION_BF16 && i < settings.models.n; i++)
        cli_report_precision(settings.served[i].path);
    return run(&settings, argc, argv);
}
