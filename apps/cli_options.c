#include "cli_options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_manual.h"

/* ---- telling ------------------------------------------------------------------------------------- */

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n%s --help tells the options\n", command->name);
    return CLI_EXIT_USAGE;
}

int cli_exit_code(onnxd_status status)
{
    switch (status) {
    case ONNXD_OK: return CLI_EXIT_OK;
    case ONNXD_ERR_ARGUMENT: return CLI_EXIT_USAGE;
    case ONNXD_ERR_FORMAT:
    case ONNXD_ERR_MODEL:
    case ONNXD_ERR_TYPE:
    case ONNXD_ERR_SHAPE:
    case ONNXD_ERR_RANGE: return 65;
    case ONNXD_ERR_NOT_FOUND: return 66;
    case ONNXD_ERR_UNSUPPORTED: return 69;
    case ONNXD_ERR_INTERNAL: return 70;
    case ONNXD_ERR_NOMEM:
    case ONNXD_ERR_LIMIT: return 71;
    case ONNXD_ERR_IO: return 74;
    case ONNXD_ERR_BUSY:
    case ONNXD_ERR_TIMEOUT: return 75;
    case ONNXD_ERR_CANCELLED: return CLI_EXIT_FAILURE;
    }
    return CLI_EXIT_FAILURE;
}

int cli_fail(const char *command_name, const onnxd_error *err)
{
    fprintf(stderr, "%s: %s\n", command_name, err->message);
    return cli_exit_code(err->status);
}

/* ---- near misses --------------------------------------------------------------------------------- */

enum { NEAR_MAX_LENGTH = 40 };

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b (Damerau 1964). */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NEAR_MAX_LENGTH + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > NEAR_MAX_LENGTH || m > NEAR_MAX_LENGTH) return NEAR_MAX_LENGTH;
    for (size_t j = 0; j <= m; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n)
{
    const char *nearest = NULL;
    unsigned least = strlen(word) < 5 ? 2 : 3; /* the first distance that is too far */
    for (size_t i = 0; i < n; i++) {
        unsigned distance = edit_distance(word, words[i]);
        if (distance < least) {
            least = distance;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- values -------------------------------------------------------------------------------------- */

struct parse {
    const struct cli_command *command;
    char *target;
    bool *given;     /* [n_options] */
    char origin[96]; /* "--max-batch" or "ONNXD_MAX_BATCH", for messages */
};

static int wrong_number(const struct parse *p, const struct cli_option *o, const char *text, const char *what)
{
    if (o->max > 0)
        return cli_usage_error(p->command, "%s: expected %s in %.15g..%.15g, got '%s'", p->origin, what,
                               o->min, o->max, text);
    if (o->min > 0)
        return cli_usage_error(p->command, "%s: expected %s of at least %.15g, got '%s'", p->origin, what,
                               o->min, text);
    return cli_usage_error(p->command, "%s: expected %s, got '%s'", p->origin, what, text);
}

static bool within(const struct cli_option *o, double x)
{
    return x >= o->min && (o->max <= 0 || x <= o->max);
}

/* Digits, then for sizes one of k, M, G; the whole of text[0..n). */
static bool read_whole(const struct cli_option *o, const char *text, size_t n, uint64_t limit, uint64_t *ret)
{
    uint64_t x = 0;
    size_t i = 0;
    for (; i < n && isdigit((unsigned char)text[i]); i++)
        if (__builtin_mul_overflow(x, 10u, &x) || __builtin_add_overflow(x, (uint64_t)(text[i] - '0'), &x))
            return false;
    if (i == 0) return false;
    if (o->type == CLI_BYTES && i + 1 == n) {
        const char *suffix = memchr("kKmMgG", text[i], 6);
        if (suffix == NULL || *suffix == 0) return false;
        unsigned shift = 10 *
                         ((unsigned)strcspn("kmg", (char[]){(char)tolower((unsigned char)*suffix), 0}) + 1);
        if (x > UINT64_MAX >> shift) return false;
        x <<= shift;
        i++;
    }
    if (i != n || x > limit || !within(o, (double)x)) return false;
    *ret = x;
    return true;
}

static int set_whole(struct parse *p, const struct cli_option *o, const char *text, void *at)
{
    uint64_t x, limit = o->type == CLI_U32 ? UINT32_MAX : UINT64_MAX;
    if (!read_whole(o, text, strlen(text), limit, &x))
        return wrong_number(p, o, text, o->type == CLI_BYTES ? "a number of bytes" : "a whole number");
    if (o->type == CLI_U32)
        *(uint32_t *)at = (uint32_t)x;
    else
        *(uint64_t *)at = x;
    return CLI_GO_ON;
}

static int set_numbers(struct parse *p, const struct cli_option *o, const char *text,
                       struct cli_numbers *list)
{
    struct cli_numbers numbers = {.n = 0};
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, ",");
        uint64_t x;
        if (!read_whole(o, at, n, UINT32_MAX, &x))
            return wrong_number(p, o, text, "whole numbers with commas");
        if (numbers.n == CLI_MAX_NUMBERS)
            return cli_usage_error(p->command, "%s: takes at most %d numbers", p->origin, CLI_MAX_NUMBERS);
        numbers.items[numbers.n++] = (uint32_t)x;
        at += n;
        if (*at == 0) break;
    }
    *list = numbers;
    return CLI_GO_ON;
}

static int set_f64(struct parse *p, const struct cli_option *o, const char *text, double *at)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end != 0 || !isfinite(x) || !within(o, x))
        return wrong_number(p, o, text, "a number");
    *at = x;
    return CLI_GO_ON;
}

static int set_choice(struct parse *p, const struct cli_option *o, const char *text, int *at)
{
    int i = 0;
    for (const char *word = o->value;; word++, i++) {
        size_t n = strcspn(word, "|");
        if (strlen(text) == n && strncmp(text, word, n) == 0) break;
        word += n;
        if (*word == 0)
            return cli_usage_error(p->command, "%s: expected one of %s, got '%s'", p->origin, o->value, text);
    }
    *at = i;
    return CLI_GO_ON;
}

static int set_flag(struct parse *p, const char *text, bool *at)
{
    static const char *const words[] = {"1", "true", "yes", "on", "0", "false", "no", "off"};
    for (int i = 0; i < 8; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *at = i < 4;
        return CLI_GO_ON;
    }
    return cli_usage_error(p->command, "%s: expected true or false, got '%s'", p->origin, text);
}

static int set_texts(struct parse *p, const struct cli_option *o, const char *text, struct cli_texts *list)
{
    if (!p->given[o - p->command->options]) list->n = 0; /* what is given replaces the default */
    if (list->n == CLI_MAX_TEXTS)
        return cli_usage_error(p->command, "%s: may be given %d times at most", p->origin, CLI_MAX_TEXTS);
    list->items[list->n++] = text;
    return CLI_GO_ON;
}

static int set_value(struct parse *p, const struct cli_option *o, const char *text)
{
    void *at = p->target + o->offset;
    int result = CLI_GO_ON;
    switch (o->type) {
    case CLI_HEADING: break;
    case CLI_FLAG: result = set_flag(p, text, at); break;
    case CLI_TEXT: *(const char **)at = text; break;
    case CLI_TEXTS: result = set_texts(p, o, text, at); break;
    case CLI_U32:
    case CLI_U64:
    case CLI_BYTES: result = set_whole(p, o, text, at); break;
    case CLI_F64: result = set_f64(p, o, text, at); break;
    case CLI_CHOICE: result = set_choice(p, o, text, at); break;
    case CLI_NUMBERS: result = set_numbers(p, o, text, at); break;
    }
    p->given[o - p->command->options] = true;
    return result;
}

/* ---- the command line ---------------------------------------------------------------------------- */

static const struct cli_option *find_option(const struct cli_command *command, const char *name, size_t n)
{
    for (size_t i = 0; i < command->n_options; i++) {
        const struct cli_option *o = &command->options[i];
        if (o->type != CLI_HEADING && strlen(o->name) == n && strncmp(o->name, name, n) == 0) return o;
    }
    return NULL;
}

static int unknown_option(const struct cli_command *command, const char *name, size_t n)
{
    const char *names[128];
    size_t n_names = 0;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)n, name);
    for (size_t i = 0; i < command->n_options && n_names < 126; i++)
        if (command->options[i].type != CLI_HEADING) names[n_names++] = command->options[i].name;
    names[n_names++] = "help";
    names[n_names++] = "version";
    const char *nearest = cli_nearest(word, names, n_names);
    if (nearest != NULL)
        return cli_usage_error(command, "unknown option --%s; did you mean --%s?", word, nearest);
    return cli_usage_error(command, "unknown option --%s", word);
}

/* argv[*i] begins with "--". */
static int take_option(struct parse *p, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t n = strcspn(name, "=");
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    const struct cli_option *o = find_option(p->command, name, n);
    bool negated = false;
    if (o == NULL && strncmp(name, "no-", 3) == 0 && value == NULL) {
        o = find_option(p->command, name + 3, n - 3);
        negated = o != NULL && o->type == CLI_FLAG;
        if (!negated) o = NULL;
    }
    if (o == NULL) return unknown_option(p->command, name, n);
    snprintf(p->origin, sizeof p->origin, "--%s", o->name);
    if (value == NULL && o->type == CLI_FLAG) value = negated ? "false" : "true";
    if (value == NULL) {
        bool missing = *i + 1 >= argc || (argv[*i + 1][0] == '-' && argv[*i + 1][1] == '-');
        if (missing) return cli_usage_error(p->command, "%s needs a value: %s", p->origin, o->value);
        value = argv[++*i];
    }
    return set_value(p, o, value);
}

static int take_arguments(struct parse *p, int argc, char **argv, uint32_t *n_positionals)
{
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        bool is_option = !options_ended && arg[0] == '-' && arg[1] != 0;
        if (!is_option) {
            if (*n_positionals == p->command->max_positionals)
                return cli_usage_error(p->command, "unexpected argument '%s'", arg);
            argv[1 + (*n_positionals)++] = arg;
        } else if (strcmp(arg, "--") == 0) {
            options_ended = true;
        } else if (arg[1] != '-') {
            return cli_usage_error(p->command, "unknown option %s; options begin with two dashes", arg);
        } else {
            int result = take_option(p, argc, argv, &i);
            if (result != CLI_GO_ON) return result;
        }
    }
    if (*n_positionals < p->command->min_positionals)
        return cli_usage_error(p->command, "expected %s", p->command->positionals);
    return CLI_GO_ON;
}

/* ---- the environment ----------------------------------------------------------------------------- */

static int take_list(struct parse *p, const struct cli_option *o, char *text)
{
    for (char *item = strtok(text, ","); item != NULL; item = strtok(NULL, ",")) {
        int result = set_value(p, o, item);
        if (result != CLI_GO_ON) return result;
    }
    return CLI_GO_ON;
}

static int take_variable(struct parse *p, const struct cli_option *o)
{
    size_t n = (size_t)snprintf(p->origin, sizeof p->origin, "ONNXD_%s", o->name);
    for (size_t i = 0; i < n && i < sizeof p->origin - 1; i++)
        p->origin[i] = p->origin[i] == '-' ? '_' : (char)toupper((unsigned char)p->origin[i]);
    char *text = getenv(p->origin);
    if ((text == NULL || *text == 0) && o->env != NULL) {
        snprintf(p->origin, sizeof p->origin, "%s", o->env);
        text = getenv(o->env);
    }
    if (text == NULL || *text == 0) return CLI_GO_ON;
    if (o->type != CLI_TEXTS) return set_value(p, o, text);
    static char *kept[16]; /* the pieces live as long as the process, like the environment itself */
    static size_t n_kept;
    if (n_kept == sizeof kept / sizeof *kept || (kept[n_kept] = strdup(text)) == NULL)
        return CLI_EXIT_FAILURE;
    return take_list(p, o, kept[n_kept++]);
}

static int take_environment(struct parse *p)
{
    for (size_t i = 0; i < p->command->n_options; i++) {
        const struct cli_option *o = &p->command->options[i];
        if (o->type == CLI_HEADING || p->given[i]) continue;
        int result = take_variable(p, o);
        if (result != CLI_GO_ON) return result;
        if (o->required && !p->given[i])
            return cli_usage_error(p->command, "--%s %s is needed", o->name, o->value);
    }
    return CLI_GO_ON;
}

/* Before anything else, so that they work whatever stands beside them. */
static bool print_what_was_asked(const struct cli_command *command, int argc, char **argv, const void *target)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (help) cli_print_help(command, target);
        if (strcmp(argv[i], "--version") == 0) cli_print_version(command->name);
        if (help || strcmp(argv[i], "--version") == 0) return true;
    }
    return false;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *target,
              uint32_t *ret_n_positionals)
{
    if (cli_print_manual(command, argc, argv, target) || print_what_was_asked(command, argc, argv, target))
        return CLI_EXIT_OK;
    struct parse p = {.command = command, .target = target};
    uint32_t n_positionals = 0;
    p.given = calloc(command->n_options + 1, sizeof *p.given);
    if (p.given == NULL) return CLI_EXIT_FAILURE;
    int result = take_arguments(&p, argc, argv, &n_positionals);
    if (result == CLI_GO_ON) result = take_environment(&p);
    free(p.given);
    if (result == CLI_GO_ON && ret_n_positionals != NULL) *ret_n_positionals = n_positionals;
    return result;
}
