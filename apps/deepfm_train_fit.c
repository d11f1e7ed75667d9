/* deepfm_train fit: from records to a model. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/file.h"
#include "ctr/fit_checkpoint.h"
#include "ctr/row_split.h"
#include "deepfm_train.h"
#include "deepfm_train_data.h"
#include "deepfm_train_files.h"

enum { EXIT_INTERRUPTED = 75 };

struct fit_command {
    struct data_options data;
    struct cli_texts valid;
    double valid_share;
    const char *out, *name;
    const char *cross;
    uint32_t embedding, threads, checkpoint_s;
    int optimiser, linear_optimiser;
    bool resume, keep_rows, from_rows;
    struct cli_numbers layers;
    struct fit_options fit;
};

#define AT(member) CLI_AT(struct fit_command, member)

static const struct cli_option options[] = {
    {"out", CLI_TEXT, AT(out), "DIR", "where model, checkpoint and rows go; made if missing"},
    {"name", CLI_TEXT, AT(name), "NAME", "of the model's files; from the settings unless given"},
    {"resume", CLI_FLAG, AT(resume), NULL, "go on from the checkpoint in --out, bit for bit"},
    {"checkpoint-s", CLI_U32, AT(checkpoint_s), "N",
     "seconds between checkpoints; 0: at the end and on a signal"},
    {"from-rows", CLI_FLAG, AT(from_rows), NULL,
     "train on features.json, train.rows and valid.rows that an earlier run kept in --out"},
    {"keep-rows", CLI_FLAG, AT(keep_rows), NULL, "leave train.rows and valid.rows in --out"},
    {"threads", CLI_U32, AT(threads), "N", "0: one for each usable CPU; the result does not depend on it",
     .max = 1024},
    {"seed", CLI_U64, AT(fit.seed), "N", "of start, order, dropout and the validation rows"},
    DATA_SOURCE_OPTIONS(struct fit_command),
    {"valid", CLI_TEXTS, AT(valid), "FILE",
     "validation records; without them a share of --data is set apart"},
    {"valid-share", CLI_F64, AT(valid_share), "S", "of the rows, drawn at random", .min = 0.0001, .max = 0.9},
    DATA_PLAN_OPTIONS(struct fit_command),
    {"", CLI_HEADING, 0, NULL, "Model"},
    {"embedding", CLI_U32, AT(embedding), "N", "numbers of an id", .min = 1, .max = CTR_MAX_EMBEDDING},
    {"dnn", CLI_NUMBERS, AT(layers), "N,N,..", "units of the hidden layers", .min = 1, .max = CTR_MAX_WIDTH},
    {"cross", CLI_TEXT, AT(cross), "A*B,C*D*E",
     "fields that act together, two or three at a time, beyond the pairs of the factorisation machine; "
     "deepfm_train interactions finds them"},
    {"dropout", CLI_F64, AT(fit.step.dropout), "S", "share of hidden units left out of a step", .max = 0.9},
    {"", CLI_HEADING, 0, NULL, "Training"},
    {"optimizer", CLI_CHOICE, AT(optimiser), "adam|adagrad|sgd", "how parameters move"},
    {"linear-optimizer", CLI_CHOICE, AT(linear_optimiser), "same|ftrl", "how the linear part's do"},
    {"lr", CLI_F64, AT(fit.rate), "R", "learning rate", .min = 1e-9, .max = 100},
    {"lr-schedule", CLI_CHOICE, AT(fit.schedule), "constant|linear|cosine",
     "the last two fall to 0 over --epochs"},
    {"lr-decay", CLI_F64, AT(fit.rate_decay), "F", "factor on the rate per epoch", .min = 0.001, .max = 1},
    {"batch", CLI_U32, AT(fit.batch), "N", "rows of a step", .min = 1, .max = 65536},
    {"epochs", CLI_U32, AT(fit.max_epochs), "N", "at most", .min = 1, .max = 100000},
    {"looks", CLI_U32, AT(fit.looks), "N", "validations an epoch", .min = 1, .max = 1000},
    {"patience", CLI_U32, AT(fit.patience), "N",
     "stop after so many validations without a better one; 0: never"},
    {"metric", CLI_CHOICE, AT(fit.metric), "auc|logloss", "what better means"},
    {"average", CLI_F64, AT(fit.average), "P",
     "judge and keep the mean of the weights so far, those after k steps weighing k^P; 0: the last",
     .max = 1000},
    {"neg", CLI_U32, AT(fit.negatives), "N", "train on at most N negative rows a positive one; 0: all"},
    {"calibrate", CLI_FLAG, AT(fit.calibrate), NULL,
     "in the end, move the bias so that the mean prediction of training rows is their rate"},
    {"l2-embedding", CLI_F64, AT(fit.step.l2_embedding), "X", "penalty", .max = 1e6},
    {"l2-by-field", CLI_FLAG, AT(fit.step.l2_by_field), NULL,
     "share --l2-embedding out: fields with large embeddings pay less, others more"},
    {"l2-linear", CLI_F64, AT(fit.step.l2_linear), "X", "penalty; FTRL has its own", .max = 1e6},
    {"l2-dnn", CLI_F64, AT(fit.step.l2_hidden), "X", "penalty", .max = 1e6},
    {"ftrl-alpha", CLI_F64, AT(fit.step.ftrl_alpha), "X", "FTRL's rate", .min = 1e-9, .max = 1e6},
    {"ftrl-beta", CLI_F64, AT(fit.step.ftrl_beta), "X", "FTRL's smoothing", .max = 1e6},
    {"ftrl-l1", CLI_F64, AT(fit.step.ftrl_l1), "X", "FTRL's penalty for weights other than 0", .max = 1e6},
    {"ftrl-l2", CLI_F64, AT(fit.step.ftrl_l2), "X", "FTRL's penalty", .max = 1e6},
};

static const struct cli_command command = {
    "deepfm_train fit", "Trains a DeepFM on records and writes it as ONNX with its features.",
    CLI_TABLE(options),
    .notes = "Ctrl-C saves a checkpoint; the same command with --resume goes on where it stopped."};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void listen_for_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- rows ---- */

struct prepared {
    struct feature_set *set;
    struct encoded_rows train, valid;
};

static void prepared_done(struct prepared *p)
{
    encoded_rows_done(&p->train);
    encoded_rows_done(&p->valid);
    feature_set_unref(p->set);
}

/* Tells of the rows of FILE, or of it and others; refuses those of one class. */
static onnxd_status take_rows(const struct dataset_totals *t, const char *what, const char *file,
                              onnxd_error *err)
{
    fprintf(stderr, "%s: %llu rows, %llu positive", what, (unsigned long long)t->n_rows,
            (unsigned long long)t->n_positives);
    if (t->n_unknowns > 0) fprintf(stderr, ", %llu values unknown", (unsigned long long)t->n_unknowns);
    fputc('\n', stderr);
    if (t->n_positives > 0 && t->n_positives < t->n_rows) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_FORMAT, "%.200s: %llu positive rows of %llu; training needs both classes",
                     file, (unsigned long long)t->n_positives, (unsigned long long)t->n_rows);
}

static onnxd_status encode(const struct fit_command *o, const struct train_files *files,
                           struct feature_plan *plan, const struct feature_set *set, onnxd_error *err)
{
    struct dataset_totals totals;
    struct encoded_rows all = {0};
    struct data_options valid = o->data;
    valid.data = o->valid;
    bool apart = o->valid.n > 0;
    onnxd_status status = data_encode(&o->data, set, plan, true, apart ? files->train : files->all, &totals,
                                      err);
    if (status == ONNXD_OK) status = take_rows(&totals, "records", o->data.data.items[0], err);
    if (status != ONNXD_OK) return status;
    if (apart) {
        status = data_encode(&valid, set, plan, true, files->valid, &totals, err);
        return status == ONNXD_OK ? take_rows(&totals, "validation", o->valid.items[0], err) : status;
    }
    status = encoded_rows_map(files->all, &all, err);
    if (status == ONNXD_OK)
        status = row_split(&all, o->valid_share, o->fit.seed, files->train, files->valid, err);
    encoded_rows_done(&all);
    unlink(files->all);
    return status;
}

static onnxd_status learn(const struct fit_command *o, const struct train_files *files, onnxd_error *err)
{
    struct feature_plan *plan = NULL;
    struct feature_set *set = NULL;
    onnxd_status status = data_plan(&o->data, &plan, err);
    if (status == ONNXD_OK) {
        struct cli_progress progress = cli_progress_start("rows read", true);
        struct dataset_source source = data_source(&o->data, &progress);
        status = dataset_learn(&source, plan, &set, err);
        cli_progress_end(&progress);
    }
    if (status == ONNXD_OK) status = encode(o, files, plan, set, err);
    if (status == ONNXD_OK) status = train_write_features(set, files->features, err);
    feature_set_unref(set);
    feature_plan_free(plan);
    return status;
}

static onnxd_status prepare(const struct fit_command *o, const struct train_files *files, struct prepared *p,
                            onnxd_error *err)
{
    onnxd_status status = o->resume || o->from_rows ? ONNXD_OK : learn(o, files, err);
    if (status == ONNXD_OK) status = train_read_features(files->features, &p->set, err);
    if (status == ONNXD_OK) status = encoded_rows_map(files->train, &p->train, err);
    if (status == ONNXD_OK) status = encoded_rows_map(files->valid, &p->valid, err);
    return status;
}

/* ---- training ---- */

/* rows_s 0: every batch was followed by a validation, so there is no telling. */
static void tell_look(const struct fit *fit, double rows_s)
{
    const struct fit_point *p = &fit->points[fit->n_points - 1];
    fprintf(stderr, "epoch %.2f", p->epoch);
    if (rows_s > 0) fprintf(stderr, "  %.0f rows/s", rows_s);
    fprintf(stderr, "  training loss %.5f  validation loss %.5f  AUC %.5f%s\n", p->train_loss, p->valid_loss,
            p->valid_auc, fit->n_worse == 0 ? "  best" : "");
}

/* Until it is finished or interrupted. */
static onnxd_status train(struct fit *fit, const struct fit_command *o, const struct train_files *files,
                          onnxd_error *err)
{
    struct cli_progress progress = cli_progress_start("rows", true);
    uint64_t whole = row_order_n(&fit->order) * fit->options.max_epochs, begun = fit->n_rows;
    uint64_t train_ns = 0, n_timed = 0, saved_ns = monotonic_ns();
    char note[80] = "";
    onnxd_status status = ONNXD_OK;
    progress.note = note;
    while (status == ONNXD_OK && !fit->finished && !interrupted) {
        bool looked = false;
        uint64_t start_ns = monotonic_ns(), before = fit->n_rows;
        status = fit_batch(fit, &looked, err);
        uint64_t now_ns = monotonic_ns();
        if (!looked) { /* predicting the validation rows is no training */
            train_ns += now_ns - start_ns;
            n_timed += fit->n_rows - before;
        }
        if (status != ONNXD_OK) break;
        if (looked) {
            const struct fit_point *p = &fit->points[fit->n_points - 1];
            snprintf(note, sizeof note, "loss %.4f, AUC %.4f", p->valid_loss, p->valid_auc);
            if (progress.shown) fprintf(stderr, "\r\x1b[K");
            tell_look(fit, train_ns > 0 ? (double)n_timed / ((double)train_ns / NS_PER_S) : 0);
        }
        cli_progress_update(&progress, fit->n_rows - begun, fit->n_rows - begun, whole - begun);
        if (o->checkpoint_s > 0 && now_ns - saved_ns > o->checkpoint_s * NS_PER_S && !fit->finished) {
            if (fit_save(fit, files->checkpoint, err) != ONNXD_OK)
                fprintf(stderr, "warning: no checkpoint: %s\n",
                        err->message); /* the training is worth more */
            saved_ns = monotonic_ns();
        }
    }
    cli_progress_end(&progress);
    return status;
}

static onnxd_status finish(struct fit *fit, const struct fit_command *o, const struct train_files *files,
                           const struct feature_set *set, onnxd_error *err)
{
    char path[TRAIN_MAX_PATH];
    double sampled = fit->offset;
    onnxd_status status = fit_finish(fit, err);
    if (status == ONNXD_OK) status = train_write_model(fit, set, o->out, o->name, path, err);
    if (status == ONNXD_OK) status = fit_save(fit, files->checkpoint, err);
    if (status != ONNXD_OK) return status;
    const struct fit_point *best = &fit->best_point;
    printf("best at epoch %.2f: validation AUC %.5f, log loss %.5f\n", best->epoch, best->valid_auc,
           best->valid_loss);
    printf("log-odds moved by %.4f for down-sampling and %.4f for calibration\n", sampled,
           fit->offset - sampled);
    printf("%s\n", path);
    if (!o->keep_rows && !o->from_rows) {
        unlink(files->train);
        unlink(files->valid);
    }
    return ONNXD_OK;
}

static onnxd_status make_shape(const struct fit_command *o, const struct feature_set *set,
                               struct ctr_shape *ret_shape, onnxd_error *err)
{
    struct ctr_network network = {.embedding = o->embedding, .n_hidden = o->layers.n};
    onnxd_status status = ONNXD_OK;
    memcpy(network.hidden, o->layers.items, o->layers.n * sizeof *network.hidden);
    if (o->cross != NULL) status = ctr_network_set_crosses(&network, set, o->cross, err);
    return status == ONNXD_OK ? ctr_shape_init(ret_shape, set, &network, err) : status;
}

static onnxd_status fit_all(const struct fit_command *o, const struct train_files *files, bool *ret_stopped,
                            onnxd_error *err)
{
    struct prepared p = {0};
    struct ctr_shape shape = {0};
    struct threads *threads = NULL;
    struct fit *fit = NULL;
    onnxd_status status = prepare(o, files, &p, err);
    if (status == ONNXD_OK) status = make_shape(o, p.set, &shape, err);
    if (status == ONNXD_OK)
        status = threads_create(o->threads > 0 ? o->threads : cpus_usable(), &threads, err);
    if (status == ONNXD_OK) status = fit_create(&o->fit, &shape, &p.train, &p.valid, threads, &fit, err);
    if (status == ONNXD_OK && o->resume) status = fit_load(fit, files->checkpoint, err);
    if (status == ONNXD_OK) {
        listen_for_signals();
        status = train(fit, o, files, err);
    }
    if (status == ONNXD_OK && !fit->finished) {
        status = fit_save(fit, files->checkpoint, err);
        *ret_stopped = true;
    } else if (status == ONNXD_OK) {
        status = finish(fit, o, files, p.set, err);
    }
    fit_free(fit);
    threads_free(threads);
    ctr_shape_done(&shape);
    prepared_done(&p);
    return status;
}

int deepfm_train_fit_main(int argc, char **argv)
{
    struct fit_command o = {.out = "deepfm",
                            .valid_share = 0.1,
                            .embedding = 8,
                            .checkpoint_s = 60,
                            .layers = {.items = {256, 128, 64}, .n = 3},
                            .data = {.max_line_bytes = 16 << 20},
                            .fit = fit_options_default()};
    struct train_files files;
    onnxd_error err;
    bool stopped = false;
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    if (o.layers.n > CTR_MAX_HIDDEN)
        return cli_usage_error(&command, "--dnn: at most %d layers", CTR_MAX_HIDDEN);
    if (o.data.data.n == 0 && !o.resume && !o.from_rows)
        return cli_usage_error(&command, "--data is missing");
    o.fit.step.optimiser = (enum deepfm_optimiser)o.optimiser;
    o.fit.step.ftrl = o.linear_optimiser == 1;
    int lock = -1;
    onnxd_status status = train_check_name(o.name, &err);
    if (status == ONNXD_OK) status = train_files_of(o.out, &files, &err);
    if (status == ONNXD_OK) status = file_make_folder(o.out, &err);
    if (status == ONNXD_OK) status = file_lock_folder(o.out, &lock, &err); /* to the end of the process */
    if (status == ONNXD_OK) status = fit_all(&o, &files, &stopped, &err);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    if (!stopped) return CLI_EXIT_OK;
    fprintf(stderr, "interrupted; saved %s: the same command with --resume goes on\n", files.checkpoint);
    return EXIT_INTERRUPTED;
}
