/* cli_options.h - command lines from one table: parsing, ranges, defaults, environment, help.
 *
 *     struct serve_options { uint32_t port; bool admin; struct cli_texts models; int engine; };
 *     static const struct cli_option options[] = {
 *         {"port", CLI_U32, CLI_AT(struct serve_options, port), "PORT", "port to listen on; 0 picks one",
 *          .max = 65535},
 *         {"engine", CLI_CHOICE, CLI_AT(struct serve_options, engine), "auto|native", "what runs the model"},
 *     };
 *     static const struct cli_command command = {"onnxd serve", "serves models over HTTP",
 *                                                CLI_TABLE(options)};
 *     struct serve_options o = {.port = 3000};           // the defaults, as --help will show them
 *     int exit_code = cli_parse(&command, argc, argv, &o, NULL);
 *     if (exit_code != CLI_GO_ON) return exit_code;
 *
 * Forms: --name value, --name=value, --flag, --no-flag; "--" ends the options. A value given later
 * replaces an earlier one, except for lists of texts, which grow. What the command line leaves open comes
 * from the environment: ONNXD_ and the name in capitals, such as ONNXD_MAX_BATCH; lists are split at
 * commas there, and flags take 1, true, yes, on, 0, false, no, off. --help and --version are built in.
 * Faults are told on standard error, with the nearest known name where there is one.
 *
 * Ownership: texts are borrowed from argv and the environment.
 * Threads:   at start only. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

enum { CLI_GO_ON = -1, CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 64 };

enum cli_type {
    CLI_HEADING, /* starts a group in the help; only `help` is used */
    CLI_FLAG,    /* bool */
    CLI_TEXT,    /* const char *; NULL: not given */
    CLI_TEXTS,   /* struct cli_texts: may be given many times */
    CLI_U32,     /* uint32_t within min..max */
    CLI_U64,     /* uint64_t within min..max */
    CLI_BYTES,   /* uint64_t within min..max; k, M and G (powers of 1024) may follow the number */
    CLI_F64,     /* double within min..max, finite */
    CLI_CHOICE,  /* int: the number of the word in `value`, which is "first|second|..." */
    CLI_NUMBERS  /* struct cli_numbers: comma-separated, each within min..max */
};

enum { CLI_MAX_TEXTS = 64, CLI_MAX_NUMBERS = 64 };

struct cli_texts {
    const char *items[CLI_MAX_TEXTS];
    uint32_t n;
};

struct cli_numbers {
    uint32_t items[CLI_MAX_NUMBERS];
    uint32_t n;
};

struct cli_option {
    const char *name; /* without dashes */
    enum cli_type type;
    size_t offset;      /* of the target in the struct given to cli_parse */
    const char *value;  /* what the help calls the value, such as "FILE"; the words of a choice */
    const char *help;   /* one sentence without a full stop; range and default are added */
    double min, max;    /* max 0: no upper bound but the type's */
    bool required;      /* must come from the command line or the environment */
    const char *env;    /* a second environment variable, such as "PORT", or NULL */
    bool hides_default; /* the default says nothing to a reader */
};

struct cli_command {
    const char *name;    /* "onnxd predict" */
    const char *summary; /* what it does: "answers rows from a file" */
    const struct cli_option *options;
    size_t n_options;
    const char *positionals; /* as the usage line shows them, such as "MODEL", or NULL */
    uint32_t min_positionals, max_positionals;
    const char *notes; /* further lines under the options, or NULL */
};

#define CLI_AT(type, member) offsetof(type, member)
#define CLI_TABLE(table)     (table), sizeof(table) / sizeof *(table)

/* Fills `target` from argv[1..argc) and the environment. CLI_GO_ON, or the exit code once help or a
 * version was printed or a fault told. Positional arguments are moved to argv[1..1 + *ret_n_positionals);
 * the pointer may be NULL when the command takes none. On failure `target` may be partly filled. */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *target,
              uint32_t *ret_n_positionals);

/* "COMMAND: message" on standard error, for faults that only the command itself can see. Return
 * CLI_EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage_error(const struct cli_command *command,
                                                          const char *format, ...);

/* Tells a failed call and returns its exit code. */
int cli_fail(const char *command_name, const onnxd_error *err);

/* The exit code for a status, by the numbers of sysexits.h: 65 for bad data (format, model, type, shape,
 * range), 66 for what is not there, 69 for what is not supported, 74 for input and output, 71 for memory
 * and limits, 70 for our own defects, 75 for what may work later, 64 for wrong arguments. */
int cli_exit_code(onnxd_status status);

/* The word of words[n] nearest to `word`, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* The help text, as --help prints it, with the values of `target` as defaults. */
void cli_print_help(const struct cli_command *command, const void *target);

/* The version line. */
void cli_print_version(const char *program);

#endif
