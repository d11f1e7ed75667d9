/* cli_commands.h - programs with subcommands: finds the one that is asked for and hands over to it.
 *
 * The word behind the program's name is help, --help, -h, --version or the name of an entry; another one is
 * told with the nearest name. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stddef.h>

struct cli_subcommand {
    const char *name, *summary;
    int (*main)(int argc, char **argv); /* takes its own name as argv[0]; returns the exit code */
};

/* `program`: as users type it, such as "onnxd" or "onnxd bench"; `kind`: what it calls its entries, such as
 * "command". At most 32 entries. */
int cli_dispatch(const char *program, const char *kind, const struct cli_subcommand *list, size_t n, int argc,
                 char **argv);

#endif
