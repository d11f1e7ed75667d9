/* protocol/v2_meta.h - the bodies around inference: health, metadata, statistics, model repository.
 *
 * Writers append; a full buffer is told by buf->failed. Threads: no state. */
#ifndef PROTOCOL_V2_META_H
#define PROTOCOL_V2_META_H

#include "base/arena.h"
#include "base/buf.h"
#include "protocol/schema.h"

/* {"live":true}, {"ready":true} and, for a model, {"name":"m","ready":true}. */
void v2_flag_write(const char *model_name, const char *flag, bool value, struct buf *buf);

/* GET /v2 */
void v2_server_write(const char *name, const char *version, const char *const *extensions,
                     uint32_t n_extensions, struct buf *buf);

/* GET /v2/models/M. Types the protocol lacks are told by onnxd's name in upper case. An input whose elements
 * index tables tells their heights, one for each element of a row (0: no index):
 * "parameters":{"index_below":[7,24,0]}. A model with a feature description tells its fields:
 * "parameters":{"fields":[{"name":"weekday","kind":"category","values":["6","0"]}]}. */
void v2_model_write(const struct protocol_schema *schema, const char *name, const char *const *versions,
                    uint32_t n_versions, struct buf *buf);

/* POST /v2/repository/index */
struct v2_index_entry {
    const char *name, *version; /* version NULL: none is loaded */
    const char *state;          /* READY, UNAVAILABLE, LOADING */
    const char *reason;         /* "" when ready */
};
void v2_index_write(const struct v2_index_entry *entries, uint32_t n, struct buf *buf);

/* {"ready":true}, the optional body of the index request. */
ONNXD_MUST_USE onnxd_status v2_index_request_read(const char *body, size_t n, bool *ret_ready_only,
                                                  onnxd_error *err);

/* POST /v2/repository/models/M/load and /unload:
 * {"parameters":{"config":"{..}","file:1/model.onnx":"base64"}}. An empty body asks for nothing special.
 * Content is decoded into the arena. Paths are relative, without
 * ".." and empty parts. ONNXD_ERR_FORMAT, ONNXD_ERR_LIMIT. */
struct v2_load_file {
    onnxd_string path; /* "1/model.onnx" */
    const char *bytes;
    size_t n;
};
struct v2_load_request {
    onnxd_string config;        /* data NULL: none */
    struct v2_load_file *files; /* [n_files] */
    uint32_t n_files;
    bool unload_dependents; /* of /unload; taken and of no effect */
};
ONNXD_MUST_USE onnxd_status v2_load_request_read(const char *body, size_t n, struct arena *arena,
                                                 struct v2_load_request *ret, onnxd_error *err);

/* GET /v2/models/M/stats */
struct v2_duration {
    uint64_t count, ns;
};
struct v2_batch_stats {
    uint64_t batch_size;
    struct v2_duration compute_input, compute_infer, compute_output;
};
struct v2_stats {
    const char *name, *version;
    uint64_t last_inference_ms; /* Unix time; 0: never */
    uint64_t inference_count, execution_count;
    struct v2_duration success, fail, queue, compute_input, compute_infer, compute_output;
    const struct v2_batch_stats *batches; /* [n_batches] */
    uint32_t n_batches;
};
void v2_stats_write(const struct v2_stats *stats, uint32_t n, struct buf *buf);

#endif
