#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cpus.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/file.h"
#include "base/map.h"
#include "base/threads.h"

static void arena_refuses_to_pass_its_limit(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    assert_non_null(arena_alloc(&arena, 50000));
    assert_null(arena_alloc(&arena, 60000));
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 4));
    assert_non_null(arena_alloc(&arena, 40000)); /* a failure leaves room for what still fits */
    assert_true(arena.used_bytes <= 100000);
    arena_done(&arena);
    assert_int_equal(arena.used_bytes, 0);
}

static void arena_allocations_are_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct rng rng = rng_seed(test_seed());
    unsigned char *pieces[500];
    size_t sizes[500];
    for (int i = 0; i < 500; i++) {
        sizes[i] = rng_below(&rng, 3000);
        pieces[i] = arena_alloc(&arena, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % (sizes[i] >= ARENA_ALIGN ? ARENA_ALIGN : 16), 0);
        memset(pieces[i], i & 255, sizes[i]);
    }
    for (int i = 0; i < 500; i++)
        for (size_t j = 0; j < sizes[i]; j++) assert_int_equal(pieces[i][j], i & 255);
    arena_done(&arena);
}

static void buf_remembers_that_it_was_full(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_true(buf_append(&buf, "12345678", 8));
    assert_false(buf_append(&buf, "abc", 3));
    assert_int_equal(buf.n, 8);
    assert_true(buf.failed);
    buf_restore(&buf, 6);
    assert_int_equal(buf.n, 6);
    assert_false(buf.failed);
    buf_reset(&buf);
    assert_true(buf_append(&buf, "0123456789", 10));
    assert_false(buf_append_char(&buf, 'x'));
    buf_consume(&buf, 4);
    assert_memory_equal(buf.data, "456789", 6);
    buf_done(&buf);
}

static void map_keeps_what_was_put(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    static char keys[5000][12];
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(keys[i], sizeof keys[i], "key%u", i);
        assert_true(map_put(&map, keys[i], strlen(keys[i]), i));
    }
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(map_get(&map, keys[i], strlen(keys[i])), i);
    assert_true(map_put(&map, "key7", 4, 77));
    assert_int_equal(map_get(&map, "key7", 4), 77);
    assert_int_equal(map.n, 5000);
    assert_int_equal(map_get(&map, "absent", 6), MAP_NONE);
    map_done(&map);
    assert_int_equal(map_get(&map, "key7", 4), MAP_NONE);
}

/* Mean and variance of 100,000 draws lie within six standard errors of the truth. */
static void rng_draws_from_its_distributions(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct rng rng = rng_seed(test_seed());
    double sum = 0, squares = 0, uniform = 0, below = 0;
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&rng);
        sum += x;
        squares += x * x;
        uniform += rng_f64(&rng);
        below += (double)rng_below(&rng, 7);
    }
    assert_true(fabs(sum / N) < 6 / sqrt(N));
    assert_true(fabs(squares / N - 1) < 6 * sqrt(2.0 / N));
    assert_true(fabs(uniform / N - 0.5) < 6 * sqrt(1.0 / 12 / N));
    assert_true(fabs(below / N - 3) < 6 * sqrt(4.0 / N));
}

static void rng_streams_repeat_and_differ(void **state)
{
    (void)state;
    struct rng a = rng_seed(1), b = rng_seed(1);
    assert_true(rng_u64(&a) == rng_u64(&b));
    struct rng f0 = rng_fork(&a, 0), f0_again = rng_fork(&a, 0), f1 = rng_fork(&a, 1);
    uint64_t x = rng_u64(&f0);
    assert_true(x == rng_u64(&f0_again));
    assert_true(x != rng_u64(&f1));
}

static void cgroup_quota_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(cpus_from_cpu_max("150000 100000"), 2);
    assert_int_equal(cpus_from_cpu_max("100000 100000"), 1);
    assert_int_equal(cpus_from_cpu_max("10000 100000"), 1);
    assert_int_equal(cpus_from_cpu_max("max 100000"), 0);
    assert_int_equal(cpus_from_cpu_max(""), 0);
    assert_true(cpus_usable() >= 1);
}

static void a_thread_is_bound_to_processors(void **state)
{
    (void)state;
    uint32_t all[CPUS_MAX], now[CPUS_MAX], n_all = cpus_list(all);
    assert_in_range(n_all, 1, CPUS_MAX);
    assert_true(cpus_bind(&all[n_all - 1], 1));
    assert_int_equal(cpus_list(now), 1);
    assert_int_equal(now[0], all[n_all - 1]);
    assert_true(cpus_bind(all, n_all));
    assert_int_equal(cpus_list(now), n_all);
    uint32_t absent = CPUS_MAX;
    assert_false(cpus_bind(&absent, 1));
    assert_false(cpus_bind(all, 0));
}

static void error_messages_stay_on_one_line(void **state)
{
    (void)state;
    onnxd_error err;
    assert_int_equal(error_set(&err, ONNXD_ERR_SHAPE, "field '%s'", "a\nb\x1b[31m"), ONNXD_ERR_SHAPE);
    assert_string_equal(err.message, "field 'a?b?[31m'");
    error_prefix(&err, "model '%s': ", "m");
    assert_string_equal(err.message, "model 'm': field 'a?b?[31m'");
    assert_int_equal(error_set(NULL, ONNXD_ERR_IO, "nobody listens"), ONNXD_ERR_IO);
}

static char *write_and_collect(const char *path, int read_fd)
{
    static char got[16];
    onnxd_error err;
    assert_ok(file_replace(path, "text", 4, &err), err);
    ssize_t n = read(read_fd, got, sizeof got - 1);
    got[n < 0 ? 0 : n] = 0;
    return got;
}

/* A report may go to /dev/stdout: renaming a file over a device or a link would take it from everybody. */
static void file_replace_leaves_pipes_and_links_where_they_are(void **state)
{
    (void)state;
    char folder[] = "/tmp/file_XXXXXX", pipe_path[64], link_path[64], target[64];
    struct stat st;
    onnxd_error err;
    assert_non_null(mkdtemp(folder));
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    char *bytes = NULL;
    size_t n = 0;
    assert_fails(file_read(pipe_path, 9, &bytes, &n, &err), ONNXD_ERR_IO, err, "not a regular file");
    int fd = open(pipe_path, O_RDWR);
    assert_string_equal(write_and_collect(pipe_path, fd), "text");
    assert_int_equal(stat(pipe_path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    close(fd);
    fd = open(target, O_RDWR | O_CREAT, 0600);
    assert_int_equal(symlink("target", link_path), 0);
    close(fd);
    assert_ok(file_replace(link_path, "text", 4, &err), err);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_ok(file_read(target, 9, &bytes, &n, &err), err);
    assert_string_equal(bytes, "text");
    free(bytes);
    assert_fails(file_replace(folder, "text", 4, &err), ONNXD_ERR_IO, err, "Is a directory");
    unlink(pipe_path);
    unlink(link_path);
    unlink(target);
    rmdir(folder);
}

static void a_folder_is_locked_once(void **state)
{
    (void)state;
    char folder[] = "/tmp/file_XXXXXX";
    int first = -1, second = -1;
    onnxd_error err;
    assert_non_null(mkdtemp(folder));
    assert_ok(file_lock_folder(folder, &first, &err), err);
    assert_fails(file_lock_folder(folder, &second, &err), ONNXD_ERR_BUSY, err, folder);
    close(first);
    assert_ok(file_lock_folder(folder, &second, &err), err);
    close(second);
    rmdir(folder);
    assert_fails(file_lock_folder(folder, &second, &err), ONNXD_ERR_IO, err, folder);
}

static void file_replace_then_read_gives_the_same_bytes(void **state)
{
    (void)state;
    onnxd_error err;
    char path[] = "/tmp/onnxd_test_XXXXXX", *bytes = NULL;
    size_t n = 0;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_ok(file_replace(path, "a\0b", 3, &err), err);
    assert_ok(file_read(path, 3, &bytes, &n, &err), err);
    assert_int_equal(n, 3);
    assert_memory_equal(bytes, "a\0b", 4);
    free(bytes);
    assert_fails(file_read(path, 2, &bytes, &n, &err), ONNXD_ERR_LIMIT, err, "at most 2");
    assert_int_equal(remove(path), 0);
    assert_fails(file_read(path, 2, &bytes, &n, &err), ONNXD_ERR_NOT_FOUND, err, path);
    assert_fails(file_read("/tmp", 2, &bytes, &n, &err), ONNXD_ERR_IO, err, "not a regular file");
}

static void a_folder_is_made_once(void **state)
{
    (void)state;
    onnxd_error err;
    char path[] = "/tmp/onnxd_test_XXXXXX";
    assert_non_null(mkdtemp(path));
    assert_ok(file_make_folder(path, &err), err);
    assert_int_equal(rmdir(path), 0);
    assert_ok(file_make_folder(path, &err), err);
    assert_int_equal(rmdir(path), 0);
    assert_fails(file_make_folder("/dev/null", &err), ONNXD_ERR_IO, err, "/dev/null");
    assert_fails(file_make_folder("/nowhere/at/all", &err), ONNXD_ERR_IO, err, "No such file");
}

struct tally {
    _Atomic uint32_t runs[1000];
};

static void count_run(void *context, uint32_t task, uint32_t worker)
{
    struct tally *tally = context;
    (void)worker;
    atomic_fetch_add(&tally->runs[task], 1);
}

static void threads_run_each_task_once(void **state)
{
    (void)state;
    onnxd_error err;
    struct threads *threads = NULL;
    static struct tally tally;
    assert_fails(threads_create(0, &threads, &err), ONNXD_ERR_RANGE, err, "1..1024");
    assert_ok(threads_create(4, &threads, &err), err);
    for (uint32_t round = 1; round <= 20; round++) {
        threads_run(threads, count_run, &tally, 1000);
        for (int i = 0; i < 1000; i++) assert_int_equal(atomic_load(&tally.runs[i]), round);
    }
    threads_run(threads, count_run, &tally, 0);
    threads_free(threads);
    threads_free(NULL);
}

static void the_limit_of_descriptors_rises_as_far_as_allowed(void **state)
{
    (void)state;
    struct rlimit before, low, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_true(descriptors_allow(32) == 64); /* never lowered */
    assert_true(descriptors_allow(100) == 100);
    assert_true(descriptors_allow(UINT64_MAX) == before.rlim_max || before.rlim_max == RLIM_INFINITY);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_true(now.rlim_cur >= 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_of_descriptors_rises_as_far_as_allowed),
        cmocka_unit_test(arena_refuses_to_pass_its_limit),
        cmocka_unit_test(arena_allocations_are_aligned_and_apart),
        cmocka_unit_test(buf_remembers_that_it_was_full),
        cmocka_unit_test(map_keeps_what_was_put),
        cmocka_unit_test(rng_draws_from_its_distributions),
        cmocka_unit_test(rng_streams_repeat_and_differ),
        cmocka_unit_test(cgroup_quota_is_rounded_up),
        cmocka_unit_test(a_thread_is_bound_to_processors),
        cmocka_unit_test(error_messages_stay_on_one_line),
        cmocka_unit_test(file_replace_leaves_pipes_and_links_where_they_are),
        cmocka_unit_test(a_folder_is_locked_once),
        cmocka_unit_test(file_replace_then_read_gives_the_same_bytes),
        cmocka_unit_test(a_folder_is_made_once),
        cmocka_unit_test(threads_run_each_task_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
