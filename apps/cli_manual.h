/* cli_manual.h - manual pages and word lists, from the tables that --help is made of.
 *
 * Every command takes two more words than its help tells, for tools/make_manuals and the shell completion:
 *     --help-man      its manual page, in the man(7) language
 *     --help-words    a line for each option or subcommand: name, value (empty for flags and subcommands) and
 *                     summary, between tabulators
 *
 * Threads: at start only. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli_commands.h"
#include "cli_options.h"

/* The option's sentence with its range, default and variable; at most n_out bytes with the NUL. */
void cli_option_text(const struct cli_option *option, const void *target, char *out, size_t n_out);

/* Answers these two words, if argv[1] is one of them. `target` holds the defaults. */
bool cli_print_manual(const struct cli_command *command, int argc, char **argv, const void *target);

/* The same for a program with subcommands. */
bool cli_print_commands_manual(const char *program, const char *kind, const struct cli_subcommand *list,
                               size_t n, int argc, char **argv);

#endif
