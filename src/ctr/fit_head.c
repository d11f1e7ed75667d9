#include "ctr/fit_head.h"

#include <string.h>

#include "base/error.h"

enum kind { KIND_U32, KIND_U64, KIND_F64, KIND_BOOL };

/* What decides the weights; a file made with another value does not go on. */
#define OPTION(name, member, kind)                       \
    {                                                    \
        name, offsetof(struct fit_options, member), kind \
    }
static const struct {
    const char *name;
    size_t offset;
    enum kind kind;
} options[] = {
    OPTION("optimizer", step.optimiser, KIND_U32),
    OPTION("linear-optimizer", step.ftrl, KIND_BOOL),
    OPTION("beta1", step.beta1, KIND_F64),
    OPTION("beta2", step.beta2, KIND_F64),
    OPTION("epsilon", step.epsilon, KIND_F64),
    OPTION("l2-embedding", step.l2_embedding, KIND_F64),
    OPTION("l2-by-field", step.l2_by_field, KIND_BOOL),
    OPTION("l2-linear", step.l2_linear, KIND_F64),
    OPTION("l2-hidden", step.l2_hidden, KIND_F64),
    OPTION("ftrl-alpha", step.ftrl_alpha, KIND_F64),
    OPTION("ftrl-beta", step.ftrl_beta, KIND_F64),
    OPTION("ftrl-l1", step.ftrl_l1, KIND_F64),
    OPTION("ftrl-l2", step.ftrl_l2, KIND_F64),
    OPTION("dropout", step.dropout, KIND_F64),
    OPTION("lr", rate, KIND_F64),
    OPTION("lr-decay", rate_decay, KIND_F64),
    OPTION("lr-schedule", schedule, KIND_U32),
    OPTION("batch", batch, KIND_U32),
    OPTION("looks", looks, KIND_U32),
    OPTION("metric", metric, KIND_U32),
    OPTION("neg", negatives, KIND_U32),
    OPTION("average", average, KIND_F64),
    OPTION("seed", seed, KIND_U64),
};
#undef OPTION
enum { N_OPTIONS = sizeof options / sizeof options[0] };

_Static_assert(sizeof(enum deepfm_optimiser) == 4 && sizeof(enum fit_schedule) == 4, "saved as 32 bits");

static uint64_t get_option(const struct fit_options *o, uint32_t i)
{
    const char *at = (const char *)o + options[i].offset;
    uint64_t x = 0;
    switch (options[i].kind) {
    case KIND_U32: memcpy(&x, at, 4); break;
    case KIND_U64:
    case KIND_F64: memcpy(&x, at, 8); break;
    case KIND_BOOL: x = *(const bool *)at; break;
    }
    return x;
}

static void set_option(struct fit_options *o, uint32_t i, uint64_t x)
{
    char *at = (char *)o + options[i].offset;
    switch (options[i].kind) {
    case KIND_U32: memcpy(at, &x, 4); break;
    case KIND_U64:
    case KIND_F64: memcpy(at, &x, 8); break;
    case KIND_BOOL: *(bool *)at = x != 0; break;
    }
}

void fit_head_save(const struct fit *fit, struct buf *out)
{
    for (uint32_t i = 0; i < N_OPTIONS; i++) bytes_put_u64(out, get_option(&fit->options, i));
    bytes_put_u32(out, fit->options.max_epochs);
    bytes_put_u32(out, fit->options.patience);
    bytes_put_u32(out, fit->options.calibrate);
    ctr_network_save(&fit->shape->net, out);
    bytes_put_u64(out, fit->train->n_rows);
    bytes_put_u64(out, fit->order.n_positive);
    bytes_put_u64(out, fit->valid->n_rows);
    bytes_put_u64(out, fit->train->fingerprint);
    bytes_put_u64(out, fit->valid->fingerprint);
}

static bool is_possible(const struct fit_head *head)
{
    return head->options.schedule <= FIT_COSINE && head->options.metric <= FIT_LOG_LOSS &&
           head->options.step.optimiser <= DEEPFM_SGD &&
           ctr_network_check(&head->net, UINT32_MAX, NULL) == ONNXD_OK;
}

onnxd_status fit_head_load(struct byte_reader *in, struct fit_head *ret_head, onnxd_error *err)
{
    struct fit_head head = {.options = fit_options_default()};
    for (uint32_t i = 0; i < N_OPTIONS; i++) set_option(&head.options, i, bytes_get_u64(in));
    head.options.max_epochs = bytes_get_u32(in);
    head.options.patience = bytes_get_u32(in);
    head.options.calibrate = bytes_get_u32(in) != 0;
    ctr_network_load(in, &head.net);
    head.n_train = bytes_get_u64(in);
    head.n_positive = bytes_get_u64(in);
    head.n_valid = bytes_get_u64(in);
    head.train_fingerprint = bytes_get_u64(in);
    head.valid_fingerprint = bytes_get_u64(in);
    if (in->failed) return error_set(err, ONNXD_ERR_FORMAT, "cut short");
    if (!is_possible(&head)) return error_set(err, ONNXD_ERR_FORMAT, "options that cannot be");
    *ret_head = head;
    return ONNXD_OK;
}

/* The option in which the networks differ, or NULL. */
static const char *other_network(const struct ctr_network *a, const struct ctr_network *b)
{
    if (a->embedding != b->embedding) return "embedding";
    if (a->n_hidden != b->n_hidden) return "dnn";
    for (uint32_t i = 0; i < a->n_hidden; i++)
        if (a->hidden[i] != b->hidden[i]) return "dnn";
    if (a->n_crosses != b->n_crosses) return "cross";
    for (uint32_t i = 0; i < a->n_crosses; i++) {
        const struct ctr_cross *x = &a->crosses[i], *y = &b->crosses[i];
        if (x->n != y->n || memcmp(x->fields, y->fields, x->n * sizeof *x->fields) != 0) return "cross";
    }
    return NULL;
}

onnxd_status fit_head_compare(const struct fit_head *head, const struct fit *fit, onnxd_error *err)
{
    for (uint32_t i = 0; i < N_OPTIONS; i++)
        if (get_option(&fit->options, i) != get_option(&head->options, i))
            return error_set(err, ONNXD_ERR_ARGUMENT, "was made with another --%s", options[i].name);
    const char *other = other_network(&head->net, &fit->shape->net);
    if (other != NULL) return error_set(err, ONNXD_ERR_ARGUMENT, "was made with another --%s", other);
    if (head->n_train != fit->train->n_rows || head->n_positive != fit->order.n_positive ||
        head->n_valid != fit->valid->n_rows)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "was made from other rows (%llu, %llu positive, %llu for validation)",
                         (unsigned long long)head->n_train, (unsigned long long)head->n_positive,
                         (unsigned long long)head->n_valid);
    if (head->train_fingerprint != fit->train->fingerprint ||
        head->valid_fingerprint != fit->valid->fingerprint)
        return error_set(err, ONNXD_ERR_ARGUMENT, "was made from other rows, though as many");
    return ONNXD_OK;
}
