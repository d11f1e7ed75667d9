#include "engine/io_check.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *expected_text(const onnxd_io_info *info, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (int32_t i = 0; i < info->rank && n < size; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (info->dims[i] >= 0)
            n += (size_t)snprintf(text + n, size - n, "%s%lld", comma, (long long)info->dims[i]);
        else
            n += (size_t)snprintf(text + n, size - n, "%s%.40s", comma,
                                  info->dim_names[i] != NULL ? info->dim_names[i] : "any");
    }
    if (n < size) snprintf(text + n, size - n, "]");
    return text;
}

static onnxd_status check_one(const onnxd_io_info *info, const onnxd_tensor *in, onnxd_error *err)
{
    char expected[256], got[160];
    if (info->type != ONNXD_UNDEFINED && in->type != info->type)
        return error_set(err, ONNXD_ERR_TYPE, "input '%.100s': expected %s, got %s", info->name,
                         onnxd_type_name(info->type), onnxd_type_name(in->type));
    if (in->rank > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_LIMIT, "input '%.100s': rank %u, at most %d", info->name, in->rank,
                         ONNXD_MAX_RANK);
    bool fits = info->rank < 0 || (uint32_t)info->rank == in->rank;
    for (int32_t i = 0; fits && i < info->rank; i++) fits = info->dims[i] < 0 || info->dims[i] == in->dims[i];
    if (!fits)
        return error_set(err, ONNXD_ERR_SHAPE, "input '%.100s': expected shape %s, got %s", info->name,
                         expected_text(info, expected, sizeof expected),
                         shape_text(in->dims, in->rank, got, sizeof got));
    size_t n_bytes = 0;
    if (!type_is_container(in->type) && !shape_n_bytes(in->type, in->dims, in->rank, &n_bytes))
        return error_set(err, ONNXD_ERR_LIMIT, "input '%.100s': shape %s is impossible or too large",
                         info->name, shape_text(in->dims, in->rank, got, sizeof got));
    if (in->data == NULL && (n_bytes > 0 || type_is_container(in->type)))
        return error_set(err, ONNXD_ERR_ARGUMENT, "input '%.100s': no data", info->name);
    return ONNXD_OK;
}

/* Dimensions of one name have one size in a run. */
static onnxd_status check_names(const onnxd_io_info *infos, const onnxd_tensor *in, uint32_t n_in,
                                onnxd_error *err)
{
    for (uint32_t a = 0; a < n_in; a++)
        for (int32_t i = 0; i < infos[a].rank; i++) {
            const char *name = infos[a].dim_names[i];
            if (name == NULL) continue;
            for (uint32_t b = 0; b <= a; b++)
                for (int32_t k = 0; k < infos[b].rank; k++)
                    if (infos[b].dim_names[k] != NULL && strcmp(infos[b].dim_names[k], name) == 0 &&
                        in[b].dims[k] != in[a].dims[i])
                        return error_set(
                            err, ONNXD_ERR_SHAPE,
                            "input '%.100s': dimension '%.40s' is %lld, but %lld in input '%.100s'",
                            infos[a].name, name, (long long)in[a].dims[i], (long long)in[b].dims[k],
                            infos[b].name);
        }
    return ONNXD_OK;
}

onnxd_status io_check(const onnxd_io_info *infos, const onnxd_tensor *in, uint32_t n_in, onnxd_error *err)
{
    for (uint32_t i = 0; i < n_in; i++) {
        onnxd_status status = check_one(&infos[i], &in[i], err);
        if (status != ONNXD_OK) return status;
    }
    return check_names(infos, in, n_in, err);
}
