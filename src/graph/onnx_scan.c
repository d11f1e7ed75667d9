#include "graph/onnx_scan.h"

#include "base/error.h"

struct scan {
    const uint8_t *start; /* of the file, for messages */
    size_t budget;        /* bytes that unpacking may still take */
    onnxd_error *err;
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

static onnxd_status damaged(const struct scan *scan, const uint8_t *at, const char *what)
{
    return error_set(scan->err, ONNXD_ERR_FORMAT, "not a valid ONNX file: %s at byte %zu", what,
                     (size_t)(at - scan->start));
}

static const uint8_t *read_varint(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && p < end; shift += 7) {
        uint8_t byte = *p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return p;
        }
    }
    return NULL;
}

static onnxd_status charge(struct scan *scan, size_t n_bytes)
{
    if (n_bytes > scan->budget)
        return error_set(scan->err, ONNXD_ERR_LIMIT,
                         "the model would take more memory than the limit allows");
    scan->budget -= n_bytes;
    return ONNXD_OK;
}

static onnxd_status scan_message(struct scan *scan, const ProtobufCMessageDescriptor *descriptor,
                                 const uint8_t *p, const uint8_t *end, uint32_t depth)
{
    if (depth > ONNX_SCAN_MAX_DEPTH)
        return error_set(scan->err, ONNXD_ERR_LIMIT, "messages are nested deeper than %d levels",
                         ONNX_SCAN_MAX_DEPTH);
    onnxd_status status = charge(scan, descriptor->sizeof_message);
    while (status == ONNXD_OK && p < end) {
        const uint8_t *field_start = p;
        uint64_t tag, length;
        p = read_varint(p, end, &tag);
        if (p == NULL || tag >> 3 == 0 || tag >> 32 != 0)
            return damaged(scan, field_start, "a bad field tag");
        const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor,
                                                                                        (unsigned)(tag >> 3));
        /* Each element costs its own bytes, a pointer or number, and a share of a growing table. */
        status = charge(scan, 32);
        if (status != ONNXD_OK) break;
        switch (tag & 7) {
        case WIRE_VARINT:
            p = read_varint(p, end, &length);
            if (p == NULL) return damaged(scan, field_start, "a truncated number");
            break;
        case WIRE_64:
            if (end - p < 8) return damaged(scan, field_start, "a truncated number");
            p += 8;
            break;
        case WIRE_32:
            if (end - p < 4) return damaged(scan, field_start, "a truncated number");
            p += 4;
            break;
        case WIRE_LENGTH:
            p = read_varint(p, end, &length);
            if (p == NULL || length > (uint64_t)(end - p))
                return damaged(scan, field_start, "a field that is longer than the file");
            if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
                status = scan_message(scan, field->descriptor, p, p + length, depth + 1);
            else /* packed numbers grow at most eightfold (a one-byte varint to an int64) */
                status = charge(scan, field == NULL || field->type == PROTOBUF_C_TYPE_BYTES ||
                                              field->type == PROTOBUF_C_TYPE_STRING
                                          ? length + 1
                                          : length * 8);
            p += length;
            break;
        default: return damaged(scan, field_start, "an unknown wire type");
        }
    }
    return status;
}

onnxd_status onnx_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t n_bytes,
                       size_t max_bytes, onnxd_error *err)
{
    struct scan scan = {.start = bytes, .budget = max_bytes, .err = err};
    if (n_bytes == 0) return error_set(err, ONNXD_ERR_FORMAT, "not a valid ONNX file: it is empty");
    return scan_message(&scan, descriptor, bytes, bytes + n_bytes, 0);
}
