/* deepfm_train.h - the subcommands of deepfm_train, one file each.
 *
 * Each takes its own name as argv[0] and returns the exit code (see cli_exit_code). */
#ifndef DEEPFM_TRAIN_H
#define DEEPFM_TRAIN_H

int deepfm_train_synth_main(int argc, char **argv);
int deepfm_train_fit_main(int argc, char **argv);
int deepfm_train_eval_main(int argc, char **argv);
int deepfm_train_interactions_main(int argc, char **argv);
int deepfm_train_predict_main(int argc, char **argv);
int deepfm_train_export_main(int argc, char **argv);

#endif
