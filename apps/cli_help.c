#include "cli_manual.h"
#include "cli_options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

/* Words of `text` from column `column` on, wrapped to HELP_COLUMN. */
static void print_wrapped(const char *text, size_t column)
{
    while (*text != 0) {
        size_t n = strcspn(text, " ");
        if (column + n > HELP_WIDTH && column > HELP_COLUMN) {
            printf("\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        printf("%.*s", (int)n, text);
        column += n;
        text += n;
        if (*text == ' ') {
            text++;
            putchar(' ');
            column++;
        }
    }
    putchar('\n');
}

static size_t print_number(char *out, size_t n, const struct cli_option *o, double x)
{
    static const char *const suffixes[] = {"", "k", "M", "G"};
    int k = 0;
    if (o->type == CLI_BYTES)
        while (k < 3 && x >= 1024 && fmod(x, 1024) == 0) x /= 1024, k++;
    return (size_t)snprintf(out, n, "%.15g%s", x, suffixes[k]);
}

static void describe_range(const struct cli_option *o, char *out, size_t n)
{
    char low[32], high[32];
    bool is_number = o->type == CLI_U32 || o->type == CLI_U64 || o->type == CLI_BYTES || o->type == CLI_F64 ||
                     o->type == CLI_NUMBERS;
    out[0] = 0;
    if (!is_number) return;
    print_number(low, sizeof low, o, o->min);
    print_number(high, sizeof high, o, o->max);
    if (o->max > 0)
        snprintf(out, n, "%s..%s", low, high);
    else if (o->min > 0)
        snprintf(out, n, "at least %s", low);
}

static void describe_list(const struct cli_option *o, const void *at, char *out, size_t n)
{
    size_t used = 0;
    out[0] = 0;
    if (o->type == CLI_NUMBERS) {
        const struct cli_numbers *numbers = at;
        for (uint32_t i = 0; i < numbers->n && used < n; i++)
            used += (size_t)snprintf(out + used, n - used, "%s%u", i > 0 ? "," : "", numbers->items[i]);
    } else {
        const struct cli_texts *texts = at;
        for (uint32_t i = 0; i < texts->n && used < n; i++)
            used += (size_t)snprintf(out + used, n - used, "%s%s", i > 0 ? "," : "", texts->items[i]);
    }
}

static void describe_choice(const struct cli_option *o, int chosen, char *out, size_t n)
{
    const char *word = o->value;
    for (int i = 0; i < chosen && strchr(word, '|') != NULL; i++) word = strchr(word, '|') + 1;
    snprintf(out, n, "%.*s", (int)strcspn(word, "|"), word);
}

static void describe_default(const struct cli_option *o, const void *target, char *out, size_t n)
{
    const void *at = (const char *)target + o->offset;
    out[0] = 0;
    if (o->hides_default || o->required) return;
    switch (o->type) {
    case CLI_HEADING: break;
    case CLI_FLAG:
        if (*(const bool *)at) snprintf(out, n, "on");
        break;
    case CLI_TEXT:
        snprintf(out, n, "%s", *(const char *const *)at != NULL ? *(const char *const *)at : "");
        break;
    case CLI_U32: print_number(out, n, o, *(const uint32_t *)at); break;
    case CLI_U64:
    case CLI_BYTES: print_number(out, n, o, (double)*(const uint64_t *)at); break;
    case CLI_F64: print_number(out, n, o, *(const double *)at); break;
    case CLI_CHOICE: describe_choice(o, *(const int *)at, out, n); break;
    case CLI_TEXTS:
    case CLI_NUMBERS: describe_list(o, at, out, n); break;
    }
}

void cli_option_text(const struct cli_option *o, const void *target, char *out, size_t n_out)
{
    char range[80], preset[256];
    describe_range(o, range, sizeof range);
    describe_default(o, target, preset, sizeof preset);
    int n = snprintf(out, n_out, "%s", o->help);
    const char *parts[4] = {o->required ? "required" : "", range, preset, o->env != NULL ? o->env : ""};
    const char *words[4] = {"", "", "default ", "also from "};
    const char *open = " (";
    for (int i = 0; i < 4; i++) {
        if (parts[i][0] == 0 || n >= (int)n_out) continue;
        n += snprintf(out + n, n_out - (size_t)n, "%s%s%s", open, words[i], parts[i]);
        open = "; ";
    }
    if (open[0] == ';' && n < (int)n_out - 1) strcat(out, ")");
}

static void print_option(const struct cli_option *o, const void *target)
{
    char text[1024];
    cli_option_text(o, target, text, sizeof text);
    int column = o->type == CLI_FLAG ? printf("  --%s", o->name) : printf("  --%s %s", o->name, o->value);
    if (column > HELP_COLUMN - 2) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    print_wrapped(text, HELP_COLUMN);
}

void cli_print_help(const struct cli_command *command, const void *target)
{
    printf("usage: %s", command->name);
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].required)
            printf(" --%s %s", command->options[i].name, command->options[i].value);
    if (command->positionals != NULL) printf(" %s", command->positionals);
    printf("%s\n%s\n\n", command->n_options > 0 ? " [options]" : "", command->summary);
    for (size_t i = 0; i < command->n_options; i++) {
        const struct cli_option *o = &command->options[i];
        if (o->type == CLI_HEADING)
            printf("%s%s:\n", i > 0 ? "\n" : "", o->help);
        else
            print_option(o, target);
    }
    printf("  --help%*sthis text\n  --version%*sthe version\n", HELP_COLUMN - 8, "", HELP_COLUMN - 11, "");
    if (command->n_options > 0)
        printf(
            "\nEvery option can come from the environment: ONNXD_ and its name, as in ONNXD_MAX_BATCH=64.\n");
    if (command->notes != NULL) printf("\n%s\n", command->notes);
}

void cli_print_version(const char *program)
{
    printf("%.*s %s\n", (int)strcspn(program, " "), program, ONNXD_VERSION);
}
