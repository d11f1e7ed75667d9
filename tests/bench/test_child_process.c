/* Children are started, heard, counted and stopped with all that they started. */
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "bench/child_process.h"

static struct child start_shell(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct child child;
    onnxd_error err;
    assert_ok(child_start(&(struct child_options){.argv = argv}, &child, &err), err);
    return child;
}

static void what_a_child_says_is_heard(void **state)
{
    (void)state;
    char line[64];
    onnxd_error err;
    struct child child = start_shell("echo starting; echo listening on port 77 >&2; exec sleep 100");
    assert_ok(child_wait_text(&child, "port ", 30 * NS_PER_S, line, sizeof line, &err), err);
    assert_string_equal(line, "port 77");
    char *output = child_output(&child);
    assert_string_equal(output, "starting\nlistening on port 77\n");
    free(output);
    assert_fails(child_wait_text(&child, "never", 20 * NS_PER_MS, NULL, 0, &err), ONNXD_ERR_TIMEOUT, err,
                 "never");
    assert_true(child_is_alive(&child));
    child_stop(&child, 10 * NS_PER_S);
    assert_int_equal(child.pid, 0);
    child_stop(&child, 0); /* takes a stopped one */
}

static void a_child_that_ends_early_is_told_with_its_last_words(void **state)
{
    (void)state;
    onnxd_error err;
    int code = -1;
    struct child child = start_shell("echo hello; echo port 80; echo is busy; exit 7");
    assert_fails(child_wait_text(&child, "listening", 30 * NS_PER_S, NULL, 0, &err), ONNXD_ERR_IO, err,
                 "(exit code 7) before it said 'listening': port 80;is busy");
    assert_ok(child_wait(&child, NS_PER_S, &code, &err), err);
    assert_int_equal(code, 7);
    child_stop(&child, 0);
    child = start_shell("kill -9 $$");
    assert_ok(child_wait(&child, 30 * NS_PER_S, &code, &err), err);
    assert_int_equal(code, 128 + 9);
    child_stop(&child, 0);
    const char *const absent[] = {"/nowhere/program", NULL};
    assert_fails(child_start(&(struct child_options){.argv = absent}, &child, &err), ONNXD_ERR_NOT_FOUND, err,
                 "/nowhere/program");
}

static void output_is_bounded_and_environments_are_given(void **state)
{
    (void)state;
    onnxd_error err;
    int code = -1;
    const char *const argv[] = {"sh", "-c", "echo $ONNXD_X; exec head -c 3000000 /dev/zero", NULL};
    const char *const environment[] = {"ONNXD_X=y z", NULL};
    struct child child;
    assert_ok(child_start(&(struct child_options){.argv = argv, .environment = environment}, &child, &err),
              err);
    assert_ok(child_wait(&child, 30 * NS_PER_S, &code, &err), err);
    assert_int_not_equal(code, 0); /* head could not write it all */
    char *output = child_output(&child);
    assert_string_equal(output, "y z\n");
    free(output);
    child_stop(&child, 0);
}

/* A stopped leader with a grandchild that ignores SIGTERM: nothing of the group is left. */
static void whole_groups_are_stopped_and_counted(void **state)
{
    (void)state;
    char line[32];
    onnxd_error err;
    struct process_usage usage[CHILD_MAX_PROCESSES];
    struct child child = start_shell(
        "(trap '' TERM; echo grandchild ready; while :; do sleep 100; done) & wait");
    pid_t group = child.pid;
    assert_ok(child_wait_text(&child, "ready", 30 * NS_PER_S, line, sizeof line, &err), err);
    assert_in_range(child_usage(&child, usage, CHILD_MAX_PROCESSES), 2, 3);
    assert_int_equal(usage[0].pid, group);
    assert_string_equal(usage[0].name, "sh");
    assert_true(usage[0].n_threads == 1 && usage[0].resident_bytes > 4096);
    kill(group, SIGSTOP);
    child_stop(&child, 10 * NS_PER_MS);
    child.pid = group;
    assert_int_equal(child_usage(&child, usage, CHILD_MAX_PROCESSES), 0);
}

static void a_child_is_bound_to_processors(void **state)
{
    (void)state;
    onnxd_error err;
    uint32_t all[CPUS_MAX], n = cpus_list(all), absent = CPUS_MAX - 1;
    char line[64], expected[64];
    const char *const argv[] = {"sh", "-c", "grep ^Cpus_allowed_list: /proc/self/status", NULL};
    struct child child;
    assert_ok(
        child_start(&(struct child_options){.argv = argv, .cpus = &all[n - 1], .n_cpus = 1}, &child, &err),
        err);
    assert_ok(child_wait_text(&child, "Cpus_", 30 * NS_PER_S, line, sizeof line, &err), err);
    snprintf(expected, sizeof expected, "Cpus_allowed_list:\t%u", all[n - 1]);
    assert_string_equal(line, expected);
    child_stop(&child, 0);
    if (all[n - 1] == absent) return; /* the largest machine there can be */
    assert_fails(
        child_start(&(struct child_options){.argv = argv, .cpus = &absent, .n_cpus = 1}, &child, &err),
        ONNXD_ERR_IO, err, "cannot be started");
}

static void processor_time_is_counted(void **state)
{
    (void)state;
    struct process_usage before, after;
    struct timespec own;
    assert_true(process_usage_read(getpid(), &before));
    uint64_t start_ns;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    start_ns = (uint64_t)own.tv_sec * NS_PER_S + (uint64_t)own.tv_nsec;
    uint64_t now_ns = start_ns;
    while (now_ns < start_ns + 50 * NS_PER_MS) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
        now_ns = (uint64_t)own.tv_sec * NS_PER_S + (uint64_t)own.tv_nsec;
    }
    assert_true(process_usage_read(getpid(), &after));
    assert_true(after.cpu_ns >= before.cpu_ns + 20 * NS_PER_MS); /* /proc lags by a tick */
    assert_false(process_usage_read(0x3fffffff, &after));
}

/* A parent that is killed outright takes its child along. */
static void children_go_when_their_parent_is_killed(void **state)
{
    (void)state;
    int ends[2];
    pid_t grandchild = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct child child = {0};
        const char *const argv[] = {"sleep", "1000", NULL};
        onnxd_error err;
        if (child_start(&(struct child_options){.argv = argv}, &child, &err) != ONNXD_OK) _exit(1);
        (void)!write(ends[1], &child.pid, sizeof child.pid);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(read(ends[0], &grandchild, sizeof grandchild), (int)sizeof grandchild);
    close(ends[0]);
    close(ends[1]);
    struct process_usage usage;
    while (process_usage_read(grandchild, &usage)) usleep(1000); /* bounded by the runner's time limit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_child_says_is_heard),
        cmocka_unit_test(a_child_that_ends_early_is_told_with_its_last_words),
        cmocka_unit_test(output_is_bounded_and_environments_are_given),
        cmocka_unit_test(whole_groups_are_stopped_and_counted),
        cmocka_unit_test(a_child_is_bound_to_processors),
        cmocka_unit_test(processor_time_is_counted),
        cmocka_unit_test(children_go_when_their_parent_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
