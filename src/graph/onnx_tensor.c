#include "graph/onnx_tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *name_of(const Onnx__TensorProto *proto)
{
    return proto->name != NULL ? proto->name : "";
}

/* Bytes that an element takes in a file; half a byte for the 4-bit types. */
static size_t packed_bytes(onnxd_type type, int64_t n)
{
    if (type == ONNXD_INT4 || type == ONNXD_UINT4) return (size_t)(n + 1) / 2;
    return (size_t)n * type_size(type);
}

static void unpack_nibbles(const uint8_t *packed, int64_t n, onnxd_type type, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint8_t nibble = packed[i / 2] >> (i % 2 * 4) & 15;
        out[i] = type == ONNXD_INT4 && nibble >= 8 ? (uint8_t)(nibble | 0xf0) : nibble;
    }
}

static void place_packed(onnxd_tensor *tensor, const void *bytes, int64_t n)
{
    if (tensor->type == ONNXD_INT4 || tensor->type == ONNXD_UINT4) {
        unpack_nibbles(bytes, n, tensor->type, tensor->data);
    } else if (n > 0) {
        memcpy(tensor->data, bytes, packed_bytes(tensor->type, n));
    }
    if (tensor->type == ONNXD_BOOL)
        for (int64_t i = 0; i < n; i++) ((uint8_t *)tensor->data)[i] = ((uint8_t *)tensor->data)[i] != 0;
}

static onnxd_status wrong_count(const Onnx__TensorProto *proto, int64_t want, size_t got, onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_MODEL,
                     "tensor '%.200s': its shape has %" PRId64 " elements, its data %zu", name_of(proto),
                     want, got);
}

/* ---- typed fields -------------------------------------------------------------------------------- */

static onnxd_status place_int32_data(const Onnx__TensorProto *proto, onnxd_tensor *tensor, int64_t n,
                                     onnxd_error *err)
{
    bool nibbles = tensor->type == ONNXD_INT4 || tensor->type == ONNXD_UINT4;
    size_t want = nibbles ? (size_t)(n + 1) / 2 : (size_t)n;
    if (proto->n_int32_data != want) return wrong_count(proto, n, proto->n_int32_data, err);
    const int32_t *from = proto->int32_data;
    if (nibbles) {
        for (int64_t i = 0; i < n; i++) {
            uint8_t byte = (uint8_t)from[i / 2];
            unpack_nibbles((uint8_t[]){(uint8_t)(byte >> (i % 2 * 4) & 15)}, 1, tensor->type,
                           (uint8_t *)tensor->data + i);
        }
        return ONNXD_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        switch (type_size(tensor->type)) {
        case 1:
            ((uint8_t *)tensor->data)[i] = tensor->type == ONNXD_BOOL ? from[i] != 0 : (uint8_t)from[i];
            break;
        case 2: ((uint16_t *)tensor->data)[i] = (uint16_t)from[i]; break;
        default: ((int32_t *)tensor->data)[i] = from[i]; break;
        }
    }
    return ONNXD_OK;
}

static onnxd_status place_strings(const Onnx__TensorProto *proto, onnxd_tensor *tensor, int64_t n,
                                  struct arena *arena, onnxd_error *err)
{
    if (proto->n_string_data != (size_t)n) return wrong_count(proto, n, proto->n_string_data, err);
    for (int64_t i = 0; i < n; i++) {
        const ProtobufCBinaryData *from = &proto->string_data[i];
        char *copy = arena_strndup(arena, (const char *)from->data, from->len);
        if (copy == NULL)
            return error_set(err, ONNXD_ERR_LIMIT, "tensor '%.200s': no room for its strings",
                             name_of(proto));
        ((onnxd_string *)tensor->data)[i] = (onnxd_string){copy, from->len};
    }
    return ONNXD_OK;
}

static onnxd_status place_typed(const Onnx__TensorProto *proto, onnxd_tensor *tensor, int64_t n,
                                struct arena *arena, onnxd_error *err)
{
    const void *from = NULL;
    size_t got = 0, want = (size_t)n, size = type_size(tensor->type);
    switch (tensor->type) {
    case ONNXD_STRING: return place_strings(proto, tensor, n, arena, err);
    case ONNXD_COMPLEX64: want *= 2, size /= 2; /* real and imaginary parts in turn */ /* fallthrough */
    case ONNXD_FLOAT32: from = proto->float_data, got = proto->n_float_data; break;
    case ONNXD_COMPLEX128: want *= 2, size /= 2; /* fallthrough */
    case ONNXD_FLOAT64: from = proto->double_data, got = proto->n_double_data; break;
    case ONNXD_INT64: from = proto->int64_data, got = proto->n_int64_data; break;
    case ONNXD_UINT64: from = proto->uint64_data, got = proto->n_uint64_data; break;
    case ONNXD_UINT32:
        if (proto->n_uint64_data != want) return wrong_count(proto, n, proto->n_uint64_data, err);
        for (int64_t i = 0; i < n; i++) ((uint32_t *)tensor->data)[i] = (uint32_t)proto->uint64_data[i];
        return ONNXD_OK;
    default: return place_int32_data(proto, tensor, n, err);
    }
    if (got != want) return wrong_count(proto, n, got, err);
    if (want > 0) memcpy(tensor->data, from, want * size);
    return ONNXD_OK;
}

/* ---- external data ------------------------------------------------------------------------------- */

struct external {
    const char *location;
    uint64_t offset, length;
    bool has_length;
};

static bool parse_u64(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0) return false;
    *ret = value;
    return true;
}

static onnxd_status read_external_entries(const Onnx__TensorProto *proto, struct external *ret,
                                          onnxd_error *err)
{
    struct external e = {0};
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        if (key == NULL || value == NULL) continue;
        bool ok = true;
        if (strcmp(key, "location") == 0)
            e.location = value;
        else if (strcmp(key, "offset") == 0)
            ok = parse_u64(value, &e.offset);
        else if (strcmp(key, "length") == 0)
            ok = e.has_length = parse_u64(value, &e.length);
        if (!ok)
            return error_set(err, ONNXD_ERR_MODEL,
                             "tensor '%.100s': external data: %.50s '%.100s' is no number", name_of(proto),
                             key, value);
    }
    if (e.location == NULL || e.location[0] == 0)
        return error_set(err, ONNXD_ERR_MODEL, "tensor '%.200s': external data without a location",
                         name_of(proto));
    *ret = e;
    return ONNXD_OK;
}

/* Opens a file that really lies inside the folder: links are followed and the result compared. */
static int open_inside(const char *folder, const char *location, const char **ret_reason)
{
    char root[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
    *ret_reason = "leaves the model's folder";
    if (location[0] == '/' || realpath(folder, root) == NULL) return -1;
    if (snprintf(path, sizeof path, "%s/%s", root, location) >= (int)sizeof path) return -1;
    if (realpath(path, real) == NULL) {
        *ret_reason = strerror(errno);
        return -1;
    }
    size_t n = strlen(root);
    if (strncmp(real, root, n) != 0 || (real[n] != '/' && strcmp(root, "/") != 0)) return -1;
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret_reason = strerror(errno);
    return fd;
}

static onnxd_status place_external(const Onnx__TensorProto *proto, const char *folder, onnxd_tensor *tensor,
                                   int64_t n, struct arena *arena, onnxd_error *err)
{
    struct external e;
    onnxd_status status = read_external_entries(proto, &e, err);
    if (status != ONNXD_OK) return status;
    if (folder == NULL)
        return error_set(err, ONNXD_ERR_MODEL, "tensor '%.200s': external data, but the model has no folder",
                         name_of(proto));
    if (tensor->type == ONNXD_STRING)
        return error_set(err, ONNXD_ERR_MODEL, "tensor '%.200s': strings cannot be external", name_of(proto));
    size_t want = packed_bytes(tensor->type, n), done = 0;
    if (e.has_length && e.length != want)
        return error_set(err, ONNXD_ERR_MODEL,
                         "tensor '%.200s': its shape has %zu bytes, its external data %" PRIu64,
                         name_of(proto), want, e.length);
    const char *reason;
    int fd = open_inside(folder, e.location, &reason);
    if (fd < 0)
        return error_set(err, ONNXD_ERR_IO, "tensor '%.100s': external data '%.200s': %s", name_of(proto),
                         e.location, reason);
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || e.offset > (uint64_t)st.st_size ||
        want > (uint64_t)st.st_size - e.offset) {
        close(fd);
        return error_set(err, ONNXD_ERR_MODEL,
                         "tensor '%.100s': external data '%.200s' is shorter than %zu bytes at %" PRIu64,
                         name_of(proto), e.location, want, e.offset);
    }
    bool nibbles = want != (size_t)n * type_size(tensor->type);
    char *into = nibbles ? arena_alloc(arena, want) : tensor->data;
    while (into != NULL && done < want) {
        ssize_t got = pread(fd, into + done, want - done, (off_t)(e.offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += (size_t)got;
    }
    close(fd);
    if (into == NULL || done < want)
        return error_set(err, ONNXD_ERR_IO, "tensor '%.100s': external data '%.200s' could not be read",
                         name_of(proto), e.location);
    if (nibbles) unpack_nibbles((const uint8_t *)into, n, tensor->type, tensor->data);
    return ONNXD_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------- */

static onnxd_status allocate(const Onnx__TensorProto *proto, const int64_t *dims, size_t rank,
                             int32_t data_type, struct arena *arena, onnxd_tensor **ret_tensor,
                             onnxd_error *err)
{
    onnxd_type type = (onnxd_type)data_type;
    if (data_type <= 0 || data_type >= ONNXD_SEQUENCE || type_size(type) == 0)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "tensor '%.200s': element type %d is not supported",
                         name_of(proto), data_type);
    if (rank > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_LIMIT, "tensor '%.200s': rank %zu, at most %d", name_of(proto), rank,
                         ONNXD_MAX_RANK);
    size_t n_bytes;
    if (!shape_n_bytes(type, dims, (uint32_t)rank, &n_bytes))
        return error_set(err, ONNXD_ERR_MODEL, "tensor '%.200s': impossible dimensions", name_of(proto));
    onnxd_tensor *tensor = arena_alloc_zeroed(arena, sizeof *tensor);
    if (tensor != NULL) {
        *tensor = (onnxd_tensor){
            .type = type, .rank = (uint32_t)rank, .data = arena_alloc_zeroed(arena, n_bytes)};
        if (rank > 0) memcpy(tensor->dims, dims, rank * sizeof *dims);
    }
    if (tensor == NULL || tensor->data == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "tensor '%.200s': no room for %zu bytes", name_of(proto),
                         n_bytes);
    *ret_tensor = tensor;
    return ONNXD_OK;
}

/* Refuses sizes that the file cannot hold before memory is taken for them. */
static bool plausible(const Onnx__TensorProto *proto, size_t *ret_available)
{
    size_t n = proto->has_raw_data ? proto->raw_data.len * 2 : 0;
    n += proto->n_float_data + proto->n_int32_data * 2 + proto->n_int64_data + proto->n_double_data +
         proto->n_uint64_data + proto->n_string_data;
    *ret_available = n;
    int64_t elements = shape_n_elements(proto->dims, (uint32_t)proto->n_dims);
    return proto->n_dims > ONNXD_MAX_RANK || elements < 0 || (uint64_t)elements <= n;
}

onnxd_status onnx_tensor_read(const Onnx__TensorProto *proto, const char *folder, struct arena *arena,
                              onnxd_tensor **ret_tensor, onnxd_error *err)
{
    onnxd_tensor *tensor = NULL;
    size_t available;
    bool external = proto->has_data_location &&
                    proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (!external && !plausible(proto, &available))
        return wrong_count(proto, shape_n_elements(proto->dims, (uint32_t)proto->n_dims), available, err);
    onnxd_status status = allocate(proto, proto->dims, proto->n_dims, proto->data_type, arena, &tensor, err);
    if (status != ONNXD_OK) return status;
    int64_t n = onnxd_tensor_n_elements(tensor);
    if (external) {
        status = place_external(proto, folder, tensor, n, arena, err);
    } else if (proto->has_raw_data && tensor->type != ONNXD_STRING && (proto->raw_data.len > 0 || n == 0)) {
        size_t want = packed_bytes(tensor->type, n);
        if (proto->raw_data.len != want)
            return error_set(err, ONNXD_ERR_MODEL,
                             "tensor '%.200s': its shape needs %zu bytes, its data have %zu", name_of(proto),
                             want, proto->raw_data.len);
        place_packed(tensor, proto->raw_data.data, n);
    } else {
        status = place_typed(proto, tensor, n, arena, err);
    }
    if (status == ONNXD_OK) *ret_tensor = tensor;
    return status;
}

onnxd_status onnx_sparse_tensor_read(const Onnx__SparseTensorProto *proto, const char *folder,
                                     struct arena *arena, onnxd_tensor **ret_tensor, onnxd_error *err)
{
    onnxd_tensor *values, *indices, *dense = NULL;
    if (proto->values == NULL || proto->indices == NULL)
        return error_set(err, ONNXD_ERR_MODEL, "sparse tensor without values or indices");
    onnxd_status status = onnx_tensor_read(proto->values, folder, arena, &values, err);
    if (status == ONNXD_OK) status = onnx_tensor_read(proto->indices, folder, arena, &indices, err);
    if (status == ONNXD_OK)
        status = allocate(proto->values, proto->dims, proto->n_dims, proto->values->data_type, arena, &dense,
                          err);
    if (status != ONNXD_OK) return status;
    int64_t n = onnxd_tensor_n_elements(dense), n_values = onnxd_tensor_n_elements(values);
    int64_t strides[ONNXD_MAX_RANK];
    shape_strides(dense->dims, dense->rank, strides);
    bool linear = indices->rank == 1 && indices->dims[0] == n_values;
    bool by_axis = indices->rank == 2 && indices->dims[0] == n_values && indices->dims[1] == dense->rank;
    if (values->rank != 1 || indices->type != ONNXD_INT64 || (!linear && !by_axis))
        return error_set(err, ONNXD_ERR_MODEL, "sparse tensor '%.200s': indices do not fit its values",
                         name_of(proto->values));
    size_t size = type_size(dense->type);
    for (int64_t i = 0; i < n_values; i++) {
        const int64_t *index = (const int64_t *)indices->data + i * (linear ? 1 : dense->rank);
        int64_t at = linear ? index[0] : 0;
        bool inside = true;
        for (uint32_t k = 0; by_axis && k < dense->rank; k++) {
            inside = inside && index[k] >= 0 && index[k] < dense->dims[k];
            if (inside) at += index[k] * strides[k];
        }
        if (!inside || at < 0 || at >= n)
            return error_set(err, ONNXD_ERR_MODEL,
                             "sparse tensor '%.200s': index %" PRId64 " is outside its shape",
                             name_of(proto->values), i);
        memcpy((char *)dense->data + (size_t)at * size, (const char *)values->data + (size_t)i * size, size);
    }
    *ret_tensor = dense;
    return ONNXD_OK;
}
