#include "bench/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"

#define POLL_NS (2 * NS_PER_MS)
#define KILL_NS (5 * NS_PER_S)

/* ---- starting -------------------------------------------------------------------------------------- */

/* A memory file that cannot grow: standard output and error share its one write position. */
static int open_output(void)
{
    int fd = memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, CHILD_MAX_OUTPUT) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Tells the parent why the program does not begin. */
static void report_and_exit(int report_fd, int error)
{
    (void)!write(report_fd, &error, sizeof error);
    _exit(127);
}

static void become(const struct child_options *o, int output_fd, int report_fd, pid_t parent)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(126); /* it went before the kernel could know */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (o->n_cpus > 0 && !cpus_bind(o->cpus, o->n_cpus)) report_and_exit(report_fd, errno);
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd >= 0) dup2(null_fd, STDIN_FILENO);
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    for (const char *const *e = o->environment; e != NULL && *e != NULL; e++) putenv((char *)(uintptr_t)*e);
    execvp(o->argv[0], (char *const *)(uintptr_t)o->argv);
    report_and_exit(report_fd, errno);
}

onnxd_status child_start(const struct child_options *options, struct child *ret, onnxd_error *err)
{
    int report[2] = {-1, -1}, error = 0;
    const char *slash = strrchr(options->argv[0], '/');
    struct child child = {.output_fd = open_output()};
    snprintf(child.name, sizeof child.name, "%s", slash != NULL ? slash + 1 : options->argv[0]);
    if (child.output_fd < 0 || pipe2(report, O_CLOEXEC) != 0) {
        error = errno;
    } else {
        pid_t parent = getpid();
        fflush(NULL);
        child.pid = fork();
        if (child.pid == 0) become(options, child.output_fd, report[1], parent);
        error = child.pid < 0 ? errno : 0;
    }
    if (report[1] >= 0) close(report[1]);
    if (child.pid > 0) {
        setpgid(child.pid,
                child.pid); /* whichever of both is first; it must be so before anybody signals it */
        if (read(report[0], &error, sizeof error) != (ssize_t)sizeof error) error = 0;
        if (error != 0) waitpid(child.pid, NULL, 0);
    }
    if (report[0] >= 0) close(report[0]);
    if (error != 0) {
        if (child.output_fd >= 0) close(child.output_fd);
        return error_set(err, error == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO,
                         "%s: cannot be started: %s", options->argv[0], strerror(error));
    }
    *ret = child;
    return ONNXD_OK;
}

onnxd_status child_own_program(char *ret_path, size_t size, onnxd_error *err)
{
    ssize_t n = readlink("/proc/self/exe", ret_path, size - 1);
    if (n <= 0 || (size_t)n >= size - 1)
        return error_set(err, ONNXD_ERR_IO, "/proc/self/exe cannot be read: %s", strerror(errno));
    ret_path[n] = 0;
    return ONNXD_OK;
}

/* ---- watching -------------------------------------------------------------------------------------- */

bool child_is_alive(struct child *child)
{
    if (child->pid == 0 || child->ended) return false;
    pid_t got = waitpid(child->pid, &child->wait_status, WNOHANG);
    child->ended = got == child->pid || (got < 0 && errno == ECHILD);
    return !child->ended;
}

static void pause_briefly(void)
{
    struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
}

char *child_output(const struct child *child)
{
    char *text = malloc(CHILD_MAX_OUTPUT + 1);
    if (text == NULL) return NULL;
    size_t n = 0;
    while (n < CHILD_MAX_OUTPUT) { /* the file is full of NUL behind what was written */
        ssize_t got = pread(child->output_fd, text + n,
                            n + 4096 > CHILD_MAX_OUTPUT ? CHILD_MAX_OUTPUT - n : 4096, (off_t)n);
        if (got <= 0) break;
        const char *end = memchr(text + n, 0, (size_t)got);
        n += end != NULL ? (size_t)(end - (text + n)) : (size_t)got;
        if (end != NULL) break;
    }
    text[n] = 0;
    return text;
}

static bool find_line(const struct child *child, const char *text, char *line, size_t size)
{
    char *output = child_output(child);
    const char *at = output != NULL ? strstr(output, text) : NULL;
    const char *end = at != NULL ? strchr(at, '\n') : NULL; /* a line that is not whole is looked at later */
    if (end != NULL && line != NULL) snprintf(line, size, "%.*s", (int)(end - at), at);
    free(output);
    return end != NULL;
}

/* The last two lines of what it printed, as one. */
static const char *last_words(char *output)
{
    size_t n = output != NULL ? strlen(output) : 0;
    while (n > 0 && output[n - 1] == '\n') output[--n] = 0;
    if (n == 0) return "it printed nothing";
    char *last = strrchr(output, '\n');
    if (last == NULL) return output;
    *last = 0;
    char *before = strrchr(output, '\n');
    *last = ';';
    return before != NULL ? before + 1 : output;
}

static onnxd_status tell_end(const struct child *child, const char *text, onnxd_error *err)
{
    char *output = child_output(child);
    bool signalled = WIFSIGNALED(child->wait_status);
    onnxd_status status = error_set(
        err, ONNXD_ERR_IO, "%s ended (%s %d) before it said '%s': %s", child->name,
        signalled ? "signal" : "exit code",
        signalled ? WTERMSIG(child->wait_status) : WEXITSTATUS(child->wait_status), text, last_words(output));
    free(output);
    return status;
}

onnxd_status child_wait_text(struct child *child, const char *text, uint64_t timeout_ns, char *line,
                             size_t size, onnxd_error *err)
{
    uint64_t end_ns = monotonic_ns() + timeout_ns;
    for (;;) {
        bool alive = child_is_alive(child); /* asked first: what it said before it ended is there then */
        if (find_line(child, text, line, size)) return ONNXD_OK;
        if (!alive) return tell_end(child, text, err);
        if (monotonic_ns() >= end_ns)
            return error_set(err, ONNXD_ERR_TIMEOUT, "%s did not say '%s' within %.1f s", child->name, text,
                             (double)timeout_ns / 1e9);
        pause_briefly();
    }
}

onnxd_status child_wait(struct child *child, uint64_t timeout_ns, int *ret_exit_code, onnxd_error *err)
{
    uint64_t end_ns = monotonic_ns() + timeout_ns;
    while (child_is_alive(child)) {
        if (monotonic_ns() >= end_ns)
            return error_set(err, ONNXD_ERR_TIMEOUT, "%s still runs after %.1f s", child->name,
                             (double)timeout_ns / 1e9);
        pause_briefly();
    }
    *ret_exit_code = WIFSIGNALED(child->wait_status) ? 128 + WTERMSIG(child->wait_status)
                                                     : WEXITSTATUS(child->wait_status);
    return ONNXD_OK;
}

void child_stop(struct child *child, uint64_t grace_ns)
{
    if (child->pid > 0) {
        uint64_t end_ns = monotonic_ns() + grace_ns;
        kill(-child->pid, SIGTERM);
        kill(-child->pid, SIGCONT); /* a stopped one could not hear it */
        while (child_is_alive(child) && monotonic_ns() < end_ns) pause_briefly();
        kill(-child->pid, SIGKILL); /* what is left of the group, its leader or those it started */
        if (!child->ended) waitpid(child->pid, NULL, 0);
        struct process_usage left;
        end_ns = monotonic_ns() + KILL_NS; /* those it started hold their ports until they are gone */
        while (child_usage(child, &left, 1) > 0 && monotonic_ns() < end_ns) pause_briefly();
        close(child->output_fd);
    }
    *child = (struct child){0};
}
