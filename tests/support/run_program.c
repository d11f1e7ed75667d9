#include "support/run_program.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

enum { PROGRAM_SECONDS = 120, MAX_SCRATCH_FILES = 64 };

static char *read_all(FILE *file, size_t *ret_n)
{
    long n = 0;
    if (fseek(file, 0, SEEK_END) != 0 || (n = ftell(file)) < 0)
        fail_msg("cannot read what a program printed");
    rewind(file);
    char *text = malloc((size_t)n + 1);
    assert_non_null(text);
    *ret_n = fread(text, 1, (size_t)n, file);
    text[*ret_n] = 0;
    fclose(file);
    return text;
}

static void become(const char *const *argv, FILE *in, FILE *out, FILE *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", BUILD_DIR, argv[0]);
    alarm(PROGRAM_SECONDS); /* outlives exec */
    dup2(fileno(in), STDIN_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    execv(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s cannot be started", path);
    _exit(127);
}

struct run_result run_program(const char *const *argv, const void *input, size_t n_input)
{
    struct run_result result = {0};
    int status = 0;
    FILE *in = tmpfile(), *out = tmpfile(), *err = tmpfile();
    if (in == NULL || out == NULL || err == NULL) fail_msg("no temporary files");
    if (n_input > 0) assert_int_equal(fwrite(input, 1, n_input, in), n_input);
    rewind(in);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) become(argv, in, out, err);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fclose(in);
    result.out = read_all(out, &result.n_out);
    result.err = read_all(err, &result.n_err);
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (result.exit_code == 127) fail_msg("%s", result.err);
    return result;
}

void run_result_done(struct run_result *result)
{
    free(result->out);
    free(result->err);
    *result = (struct run_result){0};
}

/* ---- scratch files ------------------------------------------------------------------------------- */

static char scratch_folder[] = "/tmp/onnxd_test_XXXXXX";
static char scratch_names[MAX_SCRATCH_FILES][64];
static int n_scratch_names;
static pid_t scratch_owner;

static void remove_scratch(void)
{
    char path[256];
    if (getpid() != scratch_owner) return;
    for (int i = 0; i < n_scratch_names; i++) {
        snprintf(path, sizeof path, "%s/%.63s", scratch_folder, scratch_names[i]);
        unlink(path);
    }
    rmdir(scratch_folder);
}

int run_saying(const char *const *program, const char *const *arguments, const char *text)
{
    const char *argv[32];
    size_t n = 0, room = sizeof argv / sizeof *argv - 1;
    while (*program != NULL && n < room) argv[n++] = *program++;
    while (*arguments != NULL && n < room) argv[n++] = *arguments++;
    assert_null(*arguments); /* all had room */
    argv[n] = NULL;
    struct run_result result = run_program(argv, NULL, 0);
    int code = result.exit_code;
    if (strstr(result.out, text) == NULL && strstr(result.err, text) == NULL)
        fail_msg("expected \"%s\" in: %s%s", text, result.out, result.err);
    run_result_done(&result);
    return code;
}

const char *scratch_path(const char *name)
{
    static char path[256];
    if (scratch_owner == 0) {
        if (mkdtemp(scratch_folder) == NULL) fail_msg("cannot make %s", scratch_folder);
        scratch_owner = getpid();
        atexit(remove_scratch);
    }
    assert_true(n_scratch_names < MAX_SCRATCH_FILES && strlen(name) < sizeof scratch_names[0]);
    strcpy(scratch_names[n_scratch_names++], name);
    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    return path;
}

const char *scratch_file(const char *name, const void *bytes, size_t n)
{
    const char *path = scratch_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}
