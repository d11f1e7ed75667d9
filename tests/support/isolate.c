#include "support/isolate.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum { MAX_PARALLEL = 16 };

struct report { /* what a task's process writes into its pipe */
    bool passed;
    char text[ISOLATE_TEXT_BYTES];
};

struct child {
    pid_t pid; /* 0: free */
    int fd;
    uint32_t task;
    uint64_t deadline_ns;
};

bool isolate_sanitized(void)
{
    return SANITIZED;
}

static _Noreturn void be_child(struct isolate_limits limits, isolate_fn run, void *context, uint32_t task,
                               int fd)
{
    struct report report = {0};
    struct rlimit memory = {limits.memory_bytes, limits.memory_bytes}, core = {0, 0};
    if (!SANITIZED) setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_CORE, &core);
    report.passed = run(context, task, report.text);
    ssize_t n = write(fd, &report, sizeof report);
    _exit(n == (ssize_t)sizeof report ? 0 : 1);
}

static void start(struct child *child, struct isolate_limits limits, isolate_fn run, void *context,
                  uint32_t task)
{
    int fds[2];
    fflush(NULL);
    if (pipe(fds) != 0) {
        perror("pipe");
        exit(2);
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        be_child(limits, run, context, task, fds[1]);
    }
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    close(fds[1]);
    *child = (struct child){pid, fds[0], task, monotonic_ns() + (uint64_t)limits.seconds * NS_PER_S};
}

static void finish(struct child *child, bool timed_out, isolate_done_fn done, void *context)
{
    struct report report = {0};
    int status = 0;
    ssize_t n = timed_out ? 0 : read(child->fd, &report, sizeof report);
    if (timed_out) kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    close(child->fd);
    child->pid = 0;
    if (n != (ssize_t)sizeof report) {
        report.passed = false;
        if (timed_out)
            snprintf(report.text, sizeof report.text, "ran out of time");
        else if (WIFSIGNALED(status))
            snprintf(report.text, sizeof report.text, "crashed: %s", strsignal(WTERMSIG(status)));
        else
            snprintf(report.text, sizeof report.text, "ended with status %d", WEXITSTATUS(status));
    }
    report.text[sizeof report.text - 1] = 0;
    done(context, child->task, report.passed, report.text);
}

/* Waits until a child has written or closed its pipe, or a deadline passes; settles all that are due. */
static void settle(struct child *children, uint32_t n_children, isolate_done_fn done, void *context)
{
    struct pollfd fds[MAX_PARALLEL];
    uint32_t which[MAX_PARALLEL], n = 0;
    uint64_t now_ns = monotonic_ns(), next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < n_children; i++) {
        if (children[i].pid == 0) continue;
        fds[n] = (struct pollfd){.fd = children[i].fd, .events = POLLIN};
        which[n++] = i;
        if (children[i].deadline_ns < next_ns) next_ns = children[i].deadline_ns;
    }
    int wait_ms = next_ns > now_ns ? (int)((next_ns - now_ns) / NS_PER_MS) + 1 : 0;
    if (poll(fds, n, wait_ms) < 0) return;
    now_ns = monotonic_ns();
    for (uint32_t i = 0; i < n; i++) {
        struct child *child = &children[which[i]];
        if (fds[i].revents != 0)
            finish(child, false, done, context);
        else if (now_ns >= child->deadline_ns)
            finish(child, true, done, context);
    }
}

void isolate_run(struct isolate_limits limits, isolate_fn run, isolate_done_fn done, void *context,
                 uint32_t n_tasks)
{
    struct child children[MAX_PARALLEL] = {0};
    uint32_t n_children = limits.n_parallel < MAX_PARALLEL ? limits.n_parallel : MAX_PARALLEL;
    uint32_t next = 0;
    for (;;) {
        uint32_t n_running = 0;
        for (uint32_t i = 0; i < n_children; i++) {
            if (children[i].pid == 0 && next < n_tasks) start(&children[i], limits, run, context, next++);
            n_running += children[i].pid != 0;
        }
        if (n_running == 0) return;
        settle(children, n_children, done, context);
    }
}
