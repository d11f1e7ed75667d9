/* neat_train.h - the subcommands of neat_train, one file each. */
#ifndef NEAT_TRAIN_H
#define NEAT_TRAIN_H

/* Each takes the arguments behind the subcommand's name and returns the exit code: 0, 1 for a failure that
 * was said on standard error, 2 for wrong usage. */
int neat_train_params(int argc, char **argv);
int neat_train_train(int argc, char **argv);

#endif
