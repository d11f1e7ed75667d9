#include "serve/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/admin_relay.h"
#include "serve/handover.h"

#define FIRST_PAUSE_NS (UINT64_C(100) * NS_PER_MS)
#define MOST_PAUSE_NS  (UINT64_C(10) * NS_PER_S)
#define PATIENCE_NS    (UINT64_C(500) * NS_PER_MS) /* connections wait so long for a process to come back */
#define STEADY_NS      (UINT64_C(10) * NS_PER_S)   /* one that lived so long starts again at once */

struct process {
    pid_t pid; /* 0: not running */
    bool is_ready, is_reloading;
    uint64_t started_ns, start_at_ns;
    uint64_t pause_ns; /* before the next start, should it die soon */
    uint64_t took_ns;  /* its last start, until it served */
};

struct supervisor {
    const struct supervisor_options *options;
    struct process *processes;
    sigset_t before;   /* signals blocked when it was called */
    int signal_fd;     /* the signals it takes */
    int ready_pipe[2]; /* each process writes its number once it serves, and after each reload */
    uint32_t n_ready, n_reloading;
    struct pollfd *polled; /* [n_processes + 2] */
    uint64_t watch_at_ns;
    bool told_ready, stopping;
    int exit_status;
};

static int child_ready_fd = -1, child_admin_fd;
static uint32_t child_number;

void supervisor_told(void)
{
    if (child_ready_fd < 0) return;
    ssize_t written = write(child_ready_fd, &child_number, sizeof child_number);
    (void)written; /* without a supervisor there is nobody to tell */
}

int supervisor_admin_fd(void)
{
    return child_admin_fd;
}

/* In the child: forgets what is the supervisor's. */
static void become_child(const struct supervisor *supervisor, uint32_t i, int admin_fd)
{
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    close(supervisor->signal_fd);
    close(supervisor->ready_pipe[0]);
    child_ready_fd = supervisor->ready_pipe[1];
    child_number = i;
    child_admin_fd = admin_fd;
    if (supervisor->options->relay != NULL) admin_relay_leave(supervisor->options->relay);
}

static bool start(struct supervisor *supervisor, uint32_t i)
{
    struct process *process = &supervisor->processes[i];
    struct admin_relay *relay = supervisor->options->relay;
    onnxd_error err = {.message = ""};
    int admin_fd = 0;
    bool is_linked = relay == NULL || admin_relay_before_fork(relay, i, &admin_fd, &err) == ONNXD_OK;
    pid_t parent = getpid(), pid = is_linked ? fork() : -1;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) _exit(0); /* the supervisor died before the line above */
        become_child(supervisor, i, admin_fd);
        int status = supervisor->options->run(supervisor->options->context, i);
        _exit(status);
    }
    if (pid < 0) log_error("cannot start process %u: %s", i, is_linked ? strerror(errno) : err.message);
    if (admin_fd > 0) close(admin_fd);
    if (pid < 0) {
        if (relay != NULL) admin_relay_gone(relay, i, monotonic_ns());
        process->start_at_ns = monotonic_ns() + NS_PER_S;
        return false;
    }
    process->pid = pid;
    process->is_ready = false;
    process->started_ns = monotonic_ns();
    if (relay != NULL) admin_relay_forked(relay, i, process->started_ns);
    return true;
}

static void signal_all(const struct supervisor *supervisor, int number)
{
    for (uint32_t i = 0; i < supervisor->options->n_processes; i++)
        if (supervisor->processes[i].pid > 0) kill(supervisor->processes[i].pid, number);
}

static void stop_all(struct supervisor *supervisor, int exit_status)
{
    if (supervisor->stopping) return;
    supervisor->stopping = true;
    supervisor->exit_status = exit_status;
    if (supervisor->options->relay != NULL) admin_relay_stop(supervisor->options->relay);
    signal_all(supervisor, SIGTERM);
}

static void begin_reload(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    options->reloading(options->context);
    supervisor->n_reloading = 0;
    for (uint32_t i = 0; i < options->n_processes; i++) {
        struct process *process = &supervisor->processes[i];
        process->is_reloading = process->is_ready;
        supervisor->n_reloading += process->is_ready;
    }
    signal_all(supervisor, SIGHUP);
    if (supervisor->n_reloading == 0) options->reloaded(options->context);
}

static void end_reload(struct supervisor *supervisor, struct process *process)
{
    if (!process->is_reloading) return;
    process->is_reloading = false;
    if (--supervisor->n_reloading == 0) supervisor->options->reloaded(supervisor->options->context);
}

static void take_told(struct supervisor *supervisor)
{
    uint32_t number;
    while (read(supervisor->ready_pipe[0], &number, sizeof number) == (ssize_t)sizeof number) {
        if (number >= supervisor->options->n_processes) continue;
        struct process *process = &supervisor->processes[number];
        if (process->is_ready) {
            end_reload(supervisor, process);
        } else {
            process->is_ready = true;
            process->took_ns = monotonic_ns() - process->started_ns;
            supervisor->n_ready++;
        }
    }
    if (supervisor->told_ready || supervisor->n_ready < supervisor->options->n_processes) return;
    supervisor->told_ready = true;
    supervisor->options->all_ready(supervisor->options->context);
}

static void plan_restart(struct supervisor *supervisor, uint32_t i, int status)
{
    struct process *process = &supervisor->processes[i];
    uint64_t now_ns = monotonic_ns();
    if (now_ns - process->started_ns >= STEADY_NS) process->pause_ns = 0;
    process->start_at_ns = now_ns + process->pause_ns;
    if (WIFSIGNALED(status))
        log_error("process %u was ended by signal %d; starting it again in %llu ms", i, WTERMSIG(status),
                  (unsigned long long)(process->pause_ns / NS_PER_MS));
    else
        log_error("process %u ended with status %d; starting it again in %llu ms", i, WEXITSTATUS(status),
                  (unsigned long long)(process->pause_ns / NS_PER_MS));
    if (process->pause_ns + process->took_ns > PATIENCE_NS)
        supervisor->options->is_away(supervisor->options->context, i);
    process->pause_ns = process->pause_ns == 0 ? FIRST_PAUSE_NS : process->pause_ns * 2;
    if (process->pause_ns > MOST_PAUSE_NS) process->pause_ns = MOST_PAUSE_NS;
}

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    take_told(supervisor); /* what a process said before it died counts */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (uint32_t i = 0; i < supervisor->options->n_processes; i++) {
            struct process *process = &supervisor->processes[i];
            if (process->pid != pid) continue;
            process->pid = 0;
            if (supervisor->options->relay != NULL)
                admin_relay_gone(supervisor->options->relay, i, monotonic_ns());
            supervisor->options->died(supervisor->options->context, i);
            if (process->is_ready) supervisor->n_ready--;
            end_reload(supervisor, process);
            bool served = process->is_ready || supervisor->told_ready;
            process->is_ready = false;
            if (supervisor->stopping) continue;
            if (served)
                plan_restart(supervisor, i, status);
            else /* what cannot start the first time will not start the second */
                stop_all(supervisor, WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
        }
}

/* Starts what is due; returns how long to wait at most. */
static uint64_t start_due(struct supervisor *supervisor)
{
    uint64_t now_ns = monotonic_ns(), wait_ns = NS_PER_S;
    for (uint32_t i = 0; i < supervisor->options->n_processes && !supervisor->stopping; i++) {
        struct process *process = &supervisor->processes[i];
        if (process->pid != 0) continue;
        if (process->start_at_ns <= now_ns) {
            if (process->started_ns > 0) supervisor->options->restarted(supervisor->options->context, i);
            start(supervisor, i);
        } else if (process->start_at_ns - now_ns < wait_ns) {
            wait_ns = process->start_at_ns - now_ns;
        }
    }
    return wait_ns;
}

static bool any_alive(const struct supervisor *supervisor)
{
    for (uint32_t i = 0; i < supervisor->options->n_processes; i++)
        if (supervisor->processes[i].pid != 0) return true;
    return false;
}

static void handle_signal(struct supervisor *supervisor, const struct signalfd_siginfo *taken)
{
    const struct supervisor_options *options = supervisor->options;
    siginfo_t info = {.si_signo = (int)taken->ssi_signo, .si_code = taken->ssi_code};
    info.si_pid = (pid_t)taken->ssi_pid;
    switch (info.si_signo) {
    case SIGTERM:
    case SIGINT:
        if (!supervisor->stopping) options->stopping(options->context, handover_successor(&info));
        stop_all(supervisor, 0);
        break;
    case SIGHUP:
        if (!supervisor->stopping) begin_reload(supervisor);
        break;
    case SIGUSR2:
        if (!supervisor->stopping) options->upgrade(options->context);
        break;
    default: break;
    }
}

/* Asks about the processes when that is due; returns how long until then. One that has not come up yet, or
 * again, is not asked about. */
static uint64_t watch(struct supervisor *supervisor)
{
    const struct supervisor_options *options = supervisor->options;
    uint64_t now_ns = monotonic_ns();
    if (options->watch_ns == 0) return UINT64_MAX;
    if (now_ns < supervisor->watch_at_ns) return supervisor->watch_at_ns - now_ns;
    supervisor->watch_at_ns = now_ns + options->watch_ns;
    bool all = supervisor->told_ready;
    for (uint32_t i = 0; i < options->n_processes; i++)
        if (supervisor->processes[i].is_ready && !options->turns(options->context, i)) all = false;
    if (all) options->all_turn(options->context);
    return options->watch_ns;
}

/* On behalf of the relay. */
static void restart_one(void *context, uint32_t process)
{
    const struct supervisor *supervisor = context;
    if (supervisor->processes[process].pid > 0) kill(supervisor->processes[process].pid, SIGTERM);
}

/* Waits for signals, word of processes and their orders, until `wait_ns` have passed, and takes what came. */
static void wait_and_take(struct supervisor *supervisor, uint64_t wait_ns)
{
    struct admin_relay *relay = supervisor->options->relay;
    uint32_t n = supervisor->options->n_processes;
    struct pollfd *polled = supervisor->polled;
    struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
    struct signalfd_siginfo info;
    polled[n] = (struct pollfd){.fd = supervisor->signal_fd, .events = POLLIN};
    polled[n + 1] = (struct pollfd){.fd = supervisor->ready_pipe[0], .events = POLLIN};
    for (uint32_t i = 0; i < n; i++)
        polled[i] = (struct pollfd){.fd = relay != NULL ? admin_relay_fds(relay)[i] : -1, .events = POLLIN};
    if (ppoll(polled, n + 2, &wait, NULL) <= 0) return;
    for (uint32_t i = 0; i < n; i++)
        if (polled[i].revents != 0) admin_relay_read(relay, i, monotonic_ns());
    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        handle_signal(supervisor, &info);
}

/* Until something is to be done without being asked. */
static uint64_t next_wait(struct supervisor *supervisor)
{
    uint64_t wait_ns = start_due(supervisor), watch_ns = watch(supervisor);
    if (watch_ns < wait_ns) wait_ns = watch_ns;
    if (supervisor->options->relay == NULL) return wait_ns;
    uint64_t now_ns = monotonic_ns(), at_ns = admin_relay_look(supervisor->options->relay, now_ns);
    if (at_ns <= now_ns) return 0;
    return at_ns - now_ns < wait_ns ? at_ns - now_ns : wait_ns;
}

static bool init(struct supervisor *supervisor)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD};
    const struct supervisor_options *options = supervisor->options;
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) sigaddset(&signals, taken[i]);
    sigprocmask(SIG_BLOCK, &signals, &supervisor->before);
    supervisor->processes = calloc(options->n_processes, sizeof *supervisor->processes);
    supervisor->polled = calloc(options->n_processes + 2, sizeof *supervisor->polled);
    supervisor->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor->processes == NULL || supervisor->polled == NULL || supervisor->signal_fd < 0 ||
        pipe2(supervisor->ready_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    if (options->relay != NULL) admin_relay_set_restart(options->relay, restart_one, supervisor);
    return true;
}

static void done(struct supervisor *supervisor)
{
    const int fds[] = {supervisor->signal_fd, supervisor->ready_pipe[0], supervisor->ready_pipe[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0) close(fds[i]);
    free(supervisor->processes);
    free(supervisor->polled);
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor supervisor = {
        .options = options, .ready_pipe = {-1, -1}, .signal_fd = -1, .exit_status = 1};
    if (!init(&supervisor)) {
        log_error("cannot start processes: %s", strerror(errno));
        done(&supervisor);
        return 1;
    }
    do {
        wait_and_take(&supervisor, next_wait(&supervisor));
        reap(&supervisor);
    } while (!supervisor.stopping || any_alive(&supervisor));
    done(&supervisor);
    return supervisor.exit_status;
}
