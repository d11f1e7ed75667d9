#include "bench/random_input.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "protocol/schema.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define MAX_INPUT_BYTES ((int64_t)1 << 31)

onnxd_status input_ranges_init(struct input_ranges *ranges, const struct graph *graph, const onnxd_tensor *in,
                               uint32_t n_inputs, onnxd_error *err)
{
    struct input_ranges r = {.n_inputs = n_inputs, .inputs = calloc(n_inputs + 1u, sizeof *r.inputs)};
    bool ok = r.inputs != NULL;
    for (uint32_t i = 0; i < n_inputs && ok; i++) {
        size_t rows = in[i].rank > 0 && in[i].dims[0] > 0 ? (size_t)in[i].dims[0] : 1;
        r.inputs[i].n = (size_t)onnxd_tensor_n_elements(&in[i]) / rows;
        r.inputs[i].below = calloc(r.inputs[i].n + 1, sizeof *r.inputs[i].below);
        ok = r.inputs[i].below != NULL;
    }
    if (!ok) {
        input_ranges_done(&r);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for the inputs' ranges");
    }
    if (graph != NULL) index_ranges_learn(graph, r.inputs);
    *ranges = r;
    return ONNXD_OK;
}

void input_ranges_done(struct input_ranges *ranges)
{
    for (uint32_t i = 0; ranges->inputs != NULL && i < ranges->n_inputs; i++) free(ranges->inputs[i].below);
    free(ranges->inputs);
    *ranges = (struct input_ranges){0};
}

/* ---- drawing ------------------------------------------------------------------------------------- */

static void store_whole(onnxd_type type, void *data, size_t i, int64_t x)
{
    switch (type) {
    case ONNXD_UINT8:
    case ONNXD_INT8:
    case ONNXD_BOOL:
    case ONNXD_UINT4:
    case ONNXD_INT4: ((uint8_t *)data)[i] = (uint8_t)x; break;
    case ONNXD_UINT16:
    case ONNXD_INT16: ((uint16_t *)data)[i] = (uint16_t)x; break;
    case ONNXD_INT32:
    case ONNXD_UINT32: ((uint32_t *)data)[i] = (uint32_t)x; break;
    case ONNXD_INT64:
    case ONNXD_UINT64: ((uint64_t *)data)[i] = (uint64_t)x; break;
    case ONNXD_FLOAT32: ((float *)data)[i] = (float)x; break;
    case ONNXD_FLOAT64: ((double *)data)[i] = (double)x; break;
    default: memset((char *)data + i * onnxd_type_size(type), 0, onnxd_type_size(type)); break;
    }
}

void input_ranges_draw(const struct input_ranges *ranges, struct rng *rng, const onnxd_tensor *in)
{
    for (uint32_t i = 0; i < ranges->n_inputs; i++) {
        const struct input_range *range = &ranges->inputs[i];
        size_t n = (size_t)onnxd_tensor_n_elements(&in[i]), column = 0;
        for (size_t k = 0; k < n; k++) {
            int64_t below = range->below[column];
            if (++column == range->n) column = 0;
            if (in[i].type == ONNXD_STRING)
                ((onnxd_string *)in[i].data)[k] = (onnxd_string){"a", 1};
            else if (below == 0 && in[i].type == ONNXD_FLOAT32)
                ((float *)in[i].data)[k] = rng_f32(rng);
            else if (below == 0 && in[i].type == ONNXD_FLOAT64)
                ((double *)in[i].data)[k] = rng_f64(rng);
            else
                store_whole(in[i].type, in[i].data, k,
                            (int64_t)rng_below(rng, below > 0 ? (uint64_t)below : 2));
        }
    }
}

/* ---- inputs of a batch --------------------------------------------------------------------------- */

static onnxd_status shape_input(const onnxd_io_info *info, int64_t batch, onnxd_tensor *ret, onnxd_error *err)
{
    if (type_is_container(info->type) || info->type == ONNXD_UNDEFINED)
        return error_set(err, ONNXD_ERR_TYPE, "input '%s': cannot draw values of type %s", info->name,
                         onnxd_type_name(info->type));
    if (info->rank < 0)
        return error_set(err, ONNXD_ERR_SHAPE, "input '%s': the model leaves its rank open", info->name);
    *ret = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank};
    int64_t n = 1;
    for (int32_t k = 0; k < info->rank; k++) {
        ret->dims[k] = info->dims[k] >= 0 ? info->dims[k] : k == 0 ? batch : 1;
        if (__builtin_mul_overflow(n, ret->dims[k], &n) || n > MAX_INPUT_BYTES)
            return error_set(err, ONNXD_ERR_LIMIT, "input '%s' is too large to draw", info->name);
    }
    return ONNXD_OK;
}

onnxd_status input_set_init(struct input_set *set, const onnxd_model *model, int64_t batch, onnxd_error *err)
{
    const onnxd_io_info *infos[PROTOCOL_MAX_INPUTS];
    uint32_t n = onnxd_model_n_inputs(model);
    if (n > PROTOCOL_MAX_INPUTS)
        return error_set(err, ONNXD_ERR_LIMIT, "the model has %u inputs; at most %d can be drawn", n,
                         PROTOCOL_MAX_INPUTS);
    for (uint32_t i = 0; i < n; i++) infos[i] = onnxd_model_input(model, i);
    return input_set_init_infos(set, infos, n, batch, err);
}

onnxd_status input_set_init_infos(struct input_set *set, const onnxd_io_info *const *infos, uint32_t n,
                                  int64_t batch, onnxd_error *err)
{
    struct input_set s = {.n = n};
    s.tensors = calloc(s.n + 1u, sizeof *s.tensors);
    if (s.tensors == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the inputs");
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < s.n && status == ONNXD_OK; i++) {
        status = shape_input(infos[i], batch, &s.tensors[i], err);
        if (status != ONNXD_OK) break;
        size_t n_bytes = (onnxd_tensor_n_bytes(&s.tensors[i]) / 64 + 1) * 64;
        s.tensors[i].data = aligned_alloc(64, n_bytes);
        if (s.tensors[i].data == NULL)
            status = error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu bytes of input", n_bytes);
    }
    if (status == ONNXD_OK)
        *set = s;
    else
        input_set_done(&s);
    return status;
}

void input_set_done(struct input_set *set)
{
    for (uint32_t i = 0; set->tensors != NULL && i < set->n; i++) free(set->tensors[i].data);
    free(set->tensors);
    *set = (struct input_set){0};
}
