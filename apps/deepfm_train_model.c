#include "deepfm_train_model.h"

#include "base/cpus.h"
#include "base/error.h"
#include "features/features_file.h"

onnxd_status served_deepfm_open(const char *path, const struct model_options *o, struct served_deepfm *ret,
                                onnxd_error *err)
{
    struct served_deepfm s = {0};
    onnxd_model_options options = {.engine = (onnxd_engine)o->engine};
    onnxd_status status = onnxd_model_load(path, &options, &s.model, err);
    if (status == ONNXD_OK) status = features_load_beside(path, &s.set, err);
    if (status == ONNXD_OK && s.set == NULL)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "%s: no .features.json beside it", path);
    if (status == ONNXD_OK)
        status = threads_create(o->threads > 0 ? o->threads : cpus_usable(), &s.threads, err);
    if (status == ONNXD_OK) {
        status = ctr_scorer_create(s.model, feature_set_n_columns(s.set), s.threads, &s.scorer, err);
        if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    }
    if (status == ONNXD_OK)
        *ret = s;
    else
        served_deepfm_close(&s);
    return status;
}

void served_deepfm_close(struct served_deepfm *s)
{
    ctr_scorer_free(s->scorer);
    threads_free(s->threads);
    feature_set_unref(s->set);
    onnxd_model_unref(s->model);
    *s = (struct served_deepfm){0};
}
