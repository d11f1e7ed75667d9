/* deepfm_train: finds the subcommand and hands over to its file. */
#include "deepfm_train.h"

#include "cli_commands.h"
#include "cli_options.h"

static const struct cli_subcommand commands[] = {
    {"synth", "simulates an ad log of which the true click probabilities are known", deepfm_train_synth_main},
    {"fit", "trains a model on records", deepfm_train_fit_main},
    {"eval", "judges a model by records", deepfm_train_eval_main},
    {"interactions", "finds fields that act together in a way that a model misses",
     deepfm_train_interactions_main},
    {"predict", "writes the probabilities of records", deepfm_train_predict_main},
    {"export", "writes the best model of a training", deepfm_train_export_main},
};

int main(int argc, char **argv)
{
    return cli_dispatch("deepfm_train", "command", CLI_TABLE(commands), argc, argv);
}
