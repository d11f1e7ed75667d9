#include "ctr/ctr_network.h"

#include <string.h>

#include "base/error.h"

enum { MAX_NAME = 256 };

static bool same_cross(const struct ctr_cross *a, const struct ctr_cross *b)
{
    uint32_t n_common = 0;
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++) n_common += a->fields[i] == b->fields[j];
    return a->n == b->n && n_common == a->n;
}

static bool is_cross(const struct ctr_cross *cross, uint32_t n_fields)
{
    if (cross->n < 2 || cross->n > CTR_MAX_CROSSED) return false;
    for (uint32_t i = 0; i < cross->n; i++) {
        if (cross->fields[i] >= n_fields) return false;
        for (uint32_t j = 0; j < i; j++)
            if (cross->fields[i] == cross->fields[j]) return false;
    }
    return true;
}

onnxd_status ctr_network_check(const struct ctr_network *network, uint32_t n_fields, onnxd_error *err)
{
    if (network->embedding < 1 || network->embedding > CTR_MAX_EMBEDDING)
        return error_set(err, ONNXD_ERR_RANGE, "embedding: expected 1 to %d, got %u", CTR_MAX_EMBEDDING,
                         network->embedding);
    if (network->n_hidden > CTR_MAX_HIDDEN)
        return error_set(err, ONNXD_ERR_RANGE, "hidden layers: at most %d, got %u", CTR_MAX_HIDDEN,
                         network->n_hidden);
    for (uint32_t i = 0; i < network->n_hidden; i++)
        if (network->hidden[i] < 1 || network->hidden[i] > CTR_MAX_WIDTH)
            return error_set(err, ONNXD_ERR_RANGE, "hidden layer %u: expected 1 to %d units, got %u", i + 1,
                             CTR_MAX_WIDTH, network->hidden[i]);
    if (network->n_crosses > CTR_MAX_CROSSES)
        return error_set(err, ONNXD_ERR_RANGE, "crosses: at most %d, got %u", CTR_MAX_CROSSES,
                         network->n_crosses);
    for (uint32_t i = 0; i < network->n_crosses; i++)
        if (!is_cross(&network->crosses[i], n_fields))
            return error_set(err, ONNXD_ERR_RANGE, "cross %u: expected 2 or 3 different fields of %u", i + 1,
                             n_fields);
    return ONNXD_OK;
}

/* ---- crosses by name ---- */

/* Whether a feature is called so; of a number that has buckets, too, the name alone means these. */
static bool is_named(const char *feature, const char *name)
{
    size_t n = strlen(name);
    return strncmp(feature, name, n) == 0 && (feature[n] == 0 || strcmp(feature + n, ".bucket") == 0);
}

/* The number of the field of that name. */
static onnxd_status find_field(const struct feature_set *set, const char *name, uint32_t *ret_field,
                               onnxd_error *err)
{
    bool is_number = false;
    uint32_t field = 0;
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        bool named = is_named(info->name, name);
        if (info->kind == FEATURE_NUMBER) {
            is_number |= named;
            continue;
        }
        if (named) {
            *ret_field = field;
            return ONNXD_OK;
        }
        field++;
    }
    if (is_number)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "\"%s\" is a number and has no ids; as quantile+log it can be crossed", name);
    return error_set(err, ONNXD_ERR_ARGUMENT, "the model has no field \"%s\"", name);
}

/* Reads "a*b" of *text up to the next comma or the end. */
static onnxd_status read_cross(const struct feature_set *set, const char **text, struct ctr_cross *ret,
                               onnxd_error *err)
{
    *ret = (struct ctr_cross){0};
    for (const char *at = *text;; at++) {
        char name[MAX_NAME];
        size_t n = strcspn(at, "*,");
        if (n >= sizeof name) return error_set(err, ONNXD_ERR_ARGUMENT, "a field's name is too long");
        memcpy(name, at, n);
        name[n] = 0;
        if (ret->n == CTR_MAX_CROSSED)
            return error_set(err, ONNXD_ERR_ARGUMENT, "more than %d fields in one", CTR_MAX_CROSSED);
        onnxd_status status = find_field(set, name, &ret->fields[ret->n], err);
        if (status != ONNXD_OK) return status;
        for (uint32_t i = 0; i < ret->n; i++)
            if (ret->fields[i] == ret->fields[ret->n])
                return error_set(err, ONNXD_ERR_ARGUMENT, "\"%s\" stands there twice", name);
        ret->n++;
        at += n;
        *text = at;
        if (*at != '*') break;
    }
    if (ret->n < 2) return error_set(err, ONNXD_ERR_ARGUMENT, "a single field; expected A*B or A*B*C");
    return ONNXD_OK;
}

onnxd_status ctr_network_set_crosses(struct ctr_network *network, const struct feature_set *set,
                                     const char *text, onnxd_error *err)
{
    network->n_crosses = 0;
    for (const char *at = text;; at++) {
        const char *begin = at;
        struct ctr_cross cross;
        onnxd_status status = read_cross(set, &at, &cross, err);
        for (uint32_t i = 0; i < network->n_crosses && status == ONNXD_OK; i++)
            if (same_cross(&network->crosses[i], &cross))
                status = error_set(err, ONNXD_ERR_ARGUMENT, "given twice");
        if (status == ONNXD_OK && network->n_crosses == CTR_MAX_CROSSES)
            status = error_set(err, ONNXD_ERR_ARGUMENT, "more than %d crosses", CTR_MAX_CROSSES);
        if (status != ONNXD_OK) {
            size_t n = strcspn(begin, ",");
            error_prefix(err, "cross \"%.*s\": ", n < MAX_NAME ? (int)n : MAX_NAME, begin);
            return status;
        }
        network->crosses[network->n_crosses++] = cross;
        if (*at == 0) return ONNXD_OK;
    }
}

/* ---- bytes ---- */

void ctr_network_save(const struct ctr_network *network, struct buf *out)
{
    bytes_put_u32(out, network->embedding);
    bytes_put_u32(out, network->n_hidden);
    for (uint32_t i = 0; i < CTR_MAX_HIDDEN; i++)
        bytes_put_u32(out, i < network->n_hidden ? network->hidden[i] : 0);
    bytes_put_u32(out, network->n_crosses);
    for (uint32_t i = 0; i < network->n_crosses; i++) {
        const struct ctr_cross *cross = &network->crosses[i];
        bytes_put_u32(out, cross->n);
        for (uint32_t f = 0; f < CTR_MAX_CROSSED; f++)
            bytes_put_u32(out, f < cross->n ? cross->fields[f] : 0);
    }
}

void ctr_network_load(struct byte_reader *in, struct ctr_network *ret_network)
{
    struct ctr_network network = {0};
    network.embedding = bytes_get_u32(in);
    network.n_hidden = bytes_get_u32(in);
    for (uint32_t i = 0; i < CTR_MAX_HIDDEN; i++) network.hidden[i] = bytes_get_u32(in);
    network.n_crosses = bytes_get_u32(in);
    for (uint32_t i = 0; i < network.n_crosses && i < CTR_MAX_CROSSES; i++) {
        struct ctr_cross *cross = &network.crosses[i];
        cross->n = bytes_get_u32(in);
        for (uint32_t f = 0; f < CTR_MAX_CROSSED; f++) cross->fields[f] = bytes_get_u32(in);
    }
    *ret_network = network;
}
