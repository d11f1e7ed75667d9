#include "engine/ort_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* string_buffer, the newest function used, came with 1.15. */
#define ORT_INTERFACE_VERSION 15

enum { LOG_FATAL_ONLY = 4 };

struct ort_base { /* what OrtGetApiBase returns */
    const void *(*get_interface)(uint32_t version);
    const char *(*get_version)(void);
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct ort library;
static onnxd_status library_status;
static onnxd_error library_error;

/* ---- opening ------------------------------------------------------------------------------------- */

static void *open_usual_places(void)
{
    static const char *const names[] = {
        "libonnxruntime.so.1",
        "libonnxruntime.so",
        "/usr/local/lib/libonnxruntime.so.1",
        "/usr/local/lib/libonnxruntime.so",
        "/opt/onnxruntime/lib/libonnxruntime.so.1",
        "/opt/onnxruntime/lib/libonnxruntime.so",
    };
    void *handle = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && handle == NULL; i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return handle;
}

static onnxd_status open_library(void **ret_handle, onnxd_error *err)
{
    const char *path = getenv("ONNXD_ONNXRUNTIME");
    if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) != 0)
        return error_set(err, ONNXD_ERR_NOMEM, "onnxruntime: no memory for an environment variable");
    if (path != NULL && *path != 0) {
        *ret_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (*ret_handle != NULL) return ONNXD_OK;
        const char *why = dlerror();
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "onnxruntime: ONNXD_ONNXRUNTIME: %s",
                         why != NULL ? why : "cannot be loaded");
    }
    *ret_handle = open_usual_places();
    if (*ret_handle != NULL) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_UNSUPPORTED,
                     "onnxruntime: libonnxruntime.so.1 was not found on the loader's path, in /usr/local/lib "
                     "or in /opt/onnxruntime/lib; set ONNXD_ONNXRUNTIME to its path");
}

static onnxd_status read_table(void *handle, struct ort *ort, onnxd_error *err)
{
    const struct ort_base *(*get_base)(void);
    *(void **)&get_base = dlsym(handle, "OrtGetApiBase"); /* the way POSIX gives for function pointers */
    const struct ort_base *base = get_base != NULL ? get_base() : NULL;
    if (base == NULL)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "onnxruntime: the library has no OrtGetApiBase");
    ort->version = base->get_version();
    void *const *table = base->get_interface(ORT_INTERFACE_VERSION);
    if (table == NULL)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "onnxruntime: version %s is too old, 1.15 is needed",
                         ort->version);
#define TAKE(place, name, result, arguments) memcpy(&ort->name, &table[place], sizeof ort->name);
    ORT_FUNCTIONS(TAKE)
#undef TAKE
    return ONNXD_OK;
}

static onnxd_status start(struct ort *ort, onnxd_error *err)
{
    enum { DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0 };
    onnxd_status status = ort_check(ort, ort->create_env(LOG_FATAL_ONLY, "onnxd", &ort->env), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->disable_telemetry(ort->env), err);
    if (status == ONNXD_OK)
        status = ort_check(ort, ort->create_cpu_memory_info(DEVICE_ALLOCATOR, DEFAULT_MEMORY, &ort->memory),
                           err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->default_allocator(&ort->allocator), err);
    return status;
}

static void load_once(void)
{
    void *handle = NULL;
    library_status = open_library(&handle, &library_error);
    if (library_status == ONNXD_OK) library_status = read_table(handle, &library, &library_error);
    if (library_status == ONNXD_OK) library_status = start(&library, &library_error);
}

onnxd_status ort_library(const struct ort **ret_ort, onnxd_error *err)
{
    if (pthread_once(&once, load_once) != 0)
        return error_set(err, ONNXD_ERR_INTERNAL, "onnxruntime: cannot be loaded once");
    if (library_status != ONNXD_OK) return error_set(err, library_status, "%s", library_error.message);
    *ret_ort = &library;
    return ONNXD_OK;
}

/* ---- statuses ------------------------------------------------------------------------------------ */

static onnxd_status translate(int code)
{
    switch (code) {
    case 2: return ONNXD_ERR_RANGE; /* invalid argument: as indices outside their table are told */
    case 3: return ONNXD_ERR_NOT_FOUND;
    case 4:
    case 7: return ONNXD_ERR_FORMAT;
    case 10: return ONNXD_ERR_MODEL;
    case 9: return ONNXD_ERR_UNSUPPORTED;
    default: return ONNXD_ERR_MODEL;
    }
}

onnxd_status ort_check(const struct ort *ort, struct ort_status *status, onnxd_error *err)
{
    if (status == NULL) return ONNXD_OK;
    onnxd_status result = error_set(err, translate(ort->get_error_code(status)), "onnxruntime: %s",
                                    ort->get_error_message(status));
    ort->release_status(status);
    return result;
}
