#include "cli_manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Text with what roff would take for its own escaped; `capitals` for headings, `joined` for "onnxd-serve". */
static void put_escaped(const char *text, size_t n, bool capitals, bool joined)
{
    for (size_t i = 0; i < n; i++) {
        char c = capitals ? (char)toupper((unsigned char)text[i]) : text[i];
        bool starts_line = i == 0 || text[i - 1] == '\n';
        if (starts_line && (c == '.' || c == '\'')) fputs("\\&", stdout);
        if (c == '\\')
            fputs("\\e", stdout);
        else if (c == '-' || (c == ' ' && joined))
            fputs("\\-", stdout);
        else if (c == '\'')
            fputs("\\(aq", stdout);
        else
            putchar(c);
    }
}

static void put(const char *text)
{
    put_escaped(text, strlen(text), false, false);
}

static void put_head(const char *name, const char *summary)
{
    printf(".\\\" Made from the program's own table of options.\n.TH ");
    put_escaped(name, strlen(name), true, true);
    printf(" 1 \"\" \"onnxd %s\" \"User commands\"\n.SH NAME\n", ONNXD_VERSION);
    put_escaped(name, strlen(name), false, true);
    fputs(" \\- ", stdout);
    put(summary);
    putchar('\n');
}

static void put_page_name(const char *program, const char *command)
{
    printf(".BR ");
    put_escaped(program, strlen(program), false, true);
    if (command != NULL) {
        fputs("\\-", stdout);
        put(command);
    }
    fputs(" (1)", stdout);
}

static void put_options(const struct cli_command *command, const void *target)
{
    printf(".SH OPTIONS\n");
    for (size_t i = 0; i < command->n_options; i++) {
        const struct cli_option *o = &command->options[i];
        char text[1024];
        if (o->type == CLI_HEADING) {
            printf(".SS ");
            put(o->help);
            putchar('\n');
            continue;
        }
        printf(".TP\n.B \\-\\-");
        put(o->name);
        if (o->type != CLI_FLAG) {
            printf(" \\fI");
            put(o->value);
            printf("\\fR");
        }
        putchar('\n');
        cli_option_text(o, target, text, sizeof text);
        put(text);
        putchar('\n');
    }
    printf(".TP\n.B \\-\\-help\nThe list of options.\n.TP\n.B \\-\\-version\nThe version.\n");
}

static void put_exit_status(void)
{
    static const struct {
        int code;
        const char *why;
    } codes[] = {{0, "done"},
                 {CLI_EXIT_USAGE, "wrong options or arguments"},
                 {65, "data that is wrong: a model, a file, a row"},
                 {66, "a file that is not there"},
                 {69, "what is not supported"},
                 {70, "a defect of the program"},
                 {71, "out of memory, or a limit passed"},
                 {74, "input or output failed"},
                 {75, "may work later"}};
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        printf(".TP\n.B %d\n%s\n", codes[i].code, codes[i].why);
}

static void print_page(const struct cli_command *command, const void *target)
{
    char program[64], first[256];
    snprintf(program, sizeof program, "%.*s", (int)strcspn(command->name, " "), command->name);
    snprintf(first, sizeof first, "%.*s", (int)strcspn(command->summary, "\n:;,."), command->summary);
    put_head(command->name, first);
    printf(".SH SYNOPSIS\n.B ");
    put(command->name);
    printf("\n");
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].required) {
            printf(".B \\-\\-");
            put(command->options[i].name);
            printf("\n.I ");
            put(command->options[i].value);
            printf("\n");
        }
    if (command->positionals != NULL) {
        printf(".I ");
        put(command->positionals);
        printf("\n");
    }
    if (command->n_options > 0) printf(".RI [ options ]\n");
    printf(".SH DESCRIPTION\n");
    put(command->summary);
    printf("\n");
    put_options(command, target);
    if (command->n_options > 0)
        printf(".SH ENVIRONMENT\nEvery option can come from the environment: ONNXD_ and its name in "
               "capitals, with _ for "
               "\\-,\nas in ONNXD_MAX_BATCH=64. The command line goes first.\n");
    if (command->notes != NULL) {
        printf(".SH NOTES\n.nf\n");
        put(command->notes);
        printf("\n.fi\n");
    }
    put_exit_status();
    printf(".SH SEE ALSO\n");
    put_page_name(program, NULL);
    printf("\n");
}

/* One line: name, value, first line of the summary. */
static void print_words(const char *dashes, const char *name, const char *value, const char *summary)
{
    printf("%s%s\t%s\t%.*s\n", dashes, name, value, (int)strcspn(summary, "\n"), summary);
}

bool cli_print_manual(const struct cli_command *command, int argc, char **argv, const void *target)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool words = strcmp(word, "--help-words") == 0;
    if (!words && strcmp(word, "--help-man") != 0) return false;
    if (!words) print_page(command, target);
    for (size_t i = 0; words && i < command->n_options; i++) {
        const struct cli_option *o = &command->options[i];
        if (o->type == CLI_HEADING) continue;
        print_words("--", o->name, o->type == CLI_FLAG ? "" : o->value, o->help);
    }
    if (words) printf("--help\t\tthis text\n--version\t\tthe version\n");
    return true;
}

bool cli_print_commands_manual(const char *program, const char *kind, const struct cli_subcommand *list,
                               size_t n, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool words = strcmp(word, "--help-words") == 0;
    char summary[1024];
    int used = 0;
    if (!words && strcmp(word, "--help-man") != 0) return false;
    for (size_t i = 0; words && i < n; i++) print_words("", list[i].name, "", list[i].summary);
    if (words) return true;
    summary[0] = 0;
    for (size_t i = 0; i < n && used < (int)sizeof summary; i++)
        used += snprintf(summary + used, sizeof summary - (size_t)used, "%s%s", i > 0 ? ", " : "",
                         list[i].name);
    put_head(program, summary);
    printf(".SH SYNOPSIS\n.B ");
    put(program);
    printf("\n.I %s\n.RI [ options ]\n.SH DESCRIPTION\nEach %s has a manual page of its own.\n", kind, kind);
    for (size_t i = 0; i < n; i++) {
        printf(".TP\n");
        put_page_name(program, list[i].name);
        printf("\n");
        put(list[i].summary);
        printf("\n");
    }
    return true;
}
