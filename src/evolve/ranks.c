#include "evolve/ranks.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

#include "base/error.h"

/* Open MPI's handles are addresses of objects in its library. */
struct ranks {
    void *library;
    void *world, *byte;
    int (*finalize)(void);
    int (*allgatherv)(const void *, int, void *, void *, const int *, const int *, void *, void *);
    uint32_t own, count;
    int *counts, *starts; /* [count] scratch */
};

static void *const IN_PLACE = (void *)1; /* MPI_IN_PLACE of Open MPI */

static void forget(struct ranks *r)
{
    free(r->counts);
    free(r->starts);
    free(r);
}

onnxd_status ranks_join(struct ranks **ret_ranks, onnxd_error *err)
{
    void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "mpi: Open MPI is not installed: %s", dlerror());
    struct ranks *r = calloc(1, sizeof *r);
    if (r == NULL) return error_set(err, ONNXD_ERR_NOMEM, "mpi: no memory");
    int (*init)(int *, char ***) = NULL, (*rank)(void *, int *) = NULL, (*size)(void *, int *) = NULL;
    *(void **)&init = dlsym(library, "MPI_Init");
    *(void **)&rank = dlsym(library, "MPI_Comm_rank");
    *(void **)&size = dlsym(library, "MPI_Comm_size");
    *(void **)&r->finalize = dlsym(library, "MPI_Finalize");
    *(void **)&r->allgatherv = dlsym(library, "MPI_Allgatherv");
    r->world = dlsym(library, "ompi_mpi_comm_world");
    r->byte = dlsym(library, "ompi_mpi_byte");
    r->library = library;
    if (init == NULL || rank == NULL || size == NULL || r->finalize == NULL || r->allgatherv == NULL ||
        r->world == NULL || r->byte == NULL) {
        forget(r);
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "mpi: libmpi.so.40 is not Open MPI's");
    }
    int own = 0, count = 0;
    if (init(NULL, NULL) != 0 || rank(r->world, &own) != 0 || size(r->world, &count) != 0) {
        forget(r);
        return error_set(err, ONNXD_ERR_IO, "mpi: Open MPI does not start");
    }
    r->own = (uint32_t)own;
    r->count = (uint32_t)count;
    r->counts = calloc(r->count, sizeof *r->counts);
    r->starts = calloc(r->count, sizeof *r->starts);
    if (r->counts == NULL || r->starts == NULL) {
        ranks_leave(r);
        return error_set(err, ONNXD_ERR_NOMEM, "mpi: no memory for %d ranks", count);
    }
    *ret_ranks = r;
    return ONNXD_OK;
}

void ranks_leave(struct ranks *r)
{
    if (r == NULL) return;
    r->finalize(); /* the library stays loaded: it has threads of its own */
    forget(r);
}

uint32_t ranks_own(const struct ranks *r)
{
    return r == NULL ? 0 : r->own;
}

uint32_t ranks_count(const struct ranks *r)
{
    return r == NULL ? 1 : r->count;
}

static void share_of(uint32_t rank, uint32_t count, uint32_t n_items, uint32_t *ret_first, uint32_t *ret_n)
{
    uint32_t first = (uint32_t)((uint64_t)n_items * rank / count);
    *ret_first = first;
    *ret_n = (uint32_t)((uint64_t)n_items * (rank + 1) / count) - first;
}

void ranks_share(const struct ranks *r, uint32_t n_items, uint32_t *ret_first, uint32_t *ret_n)
{
    share_of(ranks_own(r), ranks_count(r), n_items, ret_first, ret_n);
}

onnxd_status ranks_gather(struct ranks *r, void *items, size_t item_bytes, uint32_t n_items, onnxd_error *err)
{
    if (r == NULL || r->count == 1) return ONNXD_OK;
    if (item_bytes * n_items > INT_MAX)
        return error_set(err, ONNXD_ERR_LIMIT, "mpi: a generation's results are more than 2 GiB");
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t first, n;
        share_of(i, r->count, n_items, &first, &n);
        r->starts[i] = (int)(first * item_bytes);
        r->counts[i] = (int)(n * item_bytes);
    }
    if (r->allgatherv(IN_PLACE, 0, r->byte, items, r->counts, r->starts, r->byte, r->world) != 0)
        return error_set(err, ONNXD_ERR_IO, "mpi: the ranks lost each other");
    return ONNXD_OK;
}
