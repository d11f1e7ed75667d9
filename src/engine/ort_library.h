/* engine/ort_library.h - libonnxruntime, opened at run time.
 *
 * Its C interface is one table of function pointers whose order never changes; new ones come behind. The
 * list below names those used here with their place in the table (documented by the public header
 * onnxruntime_c_api.h; the declarations are ours). Nothing of ONNX Runtime is needed to build onnxd.
 *
 * The library is looked for once in a process: where ONNXD_ONNXRUNTIME points, else by its usual names on
 * the loader's path, /usr/local/lib and /opt/onnxruntime/lib. ORT_DISABLE_TELEMETRY=1 is set before it is
 * loaded, as it sends data over the network otherwise. It stays loaded.
 *
 * Threads: any; the first call sets an environment variable and should not race with getenv elsewhere. */
#ifndef ENGINE_ORT_LIBRARY_H
#define ENGINE_ORT_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

struct ort_status;
struct ort_env;
struct ort_session;
struct ort_session_options;
struct ort_value;
struct ort_type_info;
struct ort_tensor_info;
struct ort_memory_info;
struct ort_allocator;

/* X(place, name, result, arguments). A status of NULL is success. */
#define ORT_FUNCTIONS(X)                                                                                     \
    X(1, get_error_code, int, (const struct ort_status *))                                                   \
    X(2, get_error_message, const char *, (const struct ort_status *))                                       \
    X(3, create_env, struct ort_status *, (int level, const char *id, struct ort_env **))                    \
    X(6, disable_telemetry, struct ort_status *, (const struct ort_env *))                                   \
    X(8, create_session, struct ort_status *,                                                                \
      (const struct ort_env *, const void *bytes, size_t n, const struct ort_session_options *,              \
       struct ort_session **))                                                                               \
    X(9, run, struct ort_status *,                                                                           \
      (struct ort_session *, const void *run_options, const char *const *in_names,                           \
       const struct ort_value *const *in, size_t n_in, const char *const *out_names, size_t n_out,           \
       struct ort_value **out))                                                                              \
    X(10, create_session_options, struct ort_status *, (struct ort_session_options **))                      \
    X(13, set_execution_mode, struct ort_status *, (struct ort_session_options *, int mode))                 \
    X(16, enable_mem_pattern, struct ort_status *, (struct ort_session_options *))                           \
    X(18, enable_cpu_mem_arena, struct ort_status *, (struct ort_session_options *))                         \
    X(22, set_log_severity, struct ort_status *, (struct ort_session_options *, int level))                  \
    X(23, set_optimization, struct ort_status *, (struct ort_session_options *, int level))                  \
    X(24, set_intra_threads, struct ort_status *, (struct ort_session_options *, int n))                     \
    X(25, set_inter_threads, struct ort_status *, (struct ort_session_options *, int n))                     \
    X(30, n_inputs, struct ort_status *, (const struct ort_session *, size_t *))                             \
    X(31, n_outputs, struct ort_status *, (const struct ort_session *, size_t *))                            \
    X(33, input_type, struct ort_status *, (const struct ort_session *, size_t i, struct ort_type_info **))  \
    X(34, output_type, struct ort_status *, (const struct ort_session *, size_t i, struct ort_type_info **)) \
    X(36, input_name, struct ort_status *,                                                                   \
      (const struct ort_session *, size_t i, struct ort_allocator *, char **))                               \
    X(37, output_name, struct ort_status *,                                                                  \
      (const struct ort_session *, size_t i, struct ort_allocator *, char **))                               \
    X(48, create_tensor, struct ort_status *,                                                                \
      (struct ort_allocator *, const int64_t *dims, size_t rank, int type, struct ort_value **))             \
    X(49, create_tensor_with_data, struct ort_status *,                                                      \
      (const struct ort_memory_info *, void *data, size_t n_bytes, const int64_t *dims, size_t rank,         \
       int type, struct ort_value **))                                                                       \
    X(51, tensor_data, struct ort_status *, (struct ort_value *, void **))                                   \
    X(53, strings_bytes, struct ort_status *, (const struct ort_value *, size_t *))                          \
    X(54, strings_content, struct ort_status *,                                                              \
      (const struct ort_value *, void *bytes, size_t n_bytes, size_t *offsets, size_t n))                    \
    X(55, as_tensor_info, struct ort_status *,                                                               \
      (const struct ort_type_info *, const struct ort_tensor_info **))                                       \
    X(56, kind_of_type, struct ort_status *, (const struct ort_type_info *, int *))                          \
    X(60, element_type, struct ort_status *, (const struct ort_tensor_info *, int *))                        \
    X(61, n_dims, struct ort_status *, (const struct ort_tensor_info *, size_t *))                           \
    X(62, dims, struct ort_status *, (const struct ort_tensor_info *, int64_t *, size_t))                    \
    X(63, dim_names, struct ort_status *, (const struct ort_tensor_info *, const char **, size_t))           \
    X(65, tensor_info, struct ort_status *, (const struct ort_value *, struct ort_tensor_info **))           \
    X(67, kind_of_value, struct ort_status *, (const struct ort_value *, int *))                             \
    X(69, create_cpu_memory_info, struct ort_status *,                                                       \
      (int allocator, int memory, struct ort_memory_info **))                                                \
    X(76, allocator_free, struct ort_status *, (struct ort_allocator *, void *))                             \
    X(78, default_allocator, struct ort_status *, (struct ort_allocator **))                                 \
    X(80, get_item, struct ort_status *,                                                                     \
      (const struct ort_value *, int i, struct ort_allocator *, struct ort_value **))                        \
    X(81, count_items, struct ort_status *, (const struct ort_value *, size_t *))                            \
    X(82, create_container, struct ort_status *,                                                             \
      (const struct ort_value *const *items, size_t n, int kind, struct ort_value **))                       \
    X(93, release_status, void, (struct ort_status *))                                                       \
    X(95, release_session, void, (struct ort_session *))                                                     \
    X(96, release_value, void, (struct ort_value *))                                                         \
    X(98, release_type_info, void, (struct ort_type_info *))                                                 \
    X(99, release_tensor_info, void, (struct ort_tensor_info *))                                             \
    X(100, release_session_options, void, (struct ort_session_options *))                                    \
    X(130, add_config, struct ort_status *, (struct ort_session_options *, const char *, const char *))      \
    X(192, has_value, struct ort_status *, (const struct ort_value *, int *))                                \
    X(252, string_buffer, struct ort_status *, (struct ort_value *, size_t i, size_t n, char **))

struct ort {
    struct ort_env *env;
    struct ort_memory_info *memory; /* plain CPU memory */
    struct ort_allocator *allocator;
    const char *version; /* of the library, such as "1.30.0" */
#define ORT_FIELD(place, name, result, arguments) result(*name) arguments;
    ORT_FUNCTIONS(ORT_FIELD)
#undef ORT_FIELD
};

enum ort_kind { ORT_UNKNOWN, ORT_TENSOR, ORT_SEQUENCE, ORT_MAP, ORT_OPAQUE, ORT_SPARSE, ORT_OPTIONAL };

/* The library, loaded at the first call. ONNXD_ERR_UNSUPPORTED tells where it was looked for and why none
 * could be used; the answer stays the same for the process. */
ONNXD_MUST_USE onnxd_status ort_library(const struct ort **ret_ort, onnxd_error *err);

/* Turns a status of the library into ours, with its own words, and releases it. NULL is ONNXD_OK. */
ONNXD_MUST_USE onnxd_status ort_check(const struct ort *ort, struct ort_status *status, onnxd_error *err);

#endif
