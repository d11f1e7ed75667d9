#include "serve/row_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define FIRST_ROWS          64u
#define KEEP_BYTES          (4u << 20)
#define STRINGS_LIMIT_BYTES (64u << 20)

static bool grow(struct protocol_rows *rows, void *context)
{
    const struct row_store *store = context;
    uint32_t capacity = rows->capacity == 0 ? FIRST_ROWS : rows->capacity;
    if (rows->capacity > 0 && __builtin_mul_overflow(capacity, 2u, &capacity)) return false;
    for (uint32_t i = 0; i < store->schema->n_inputs; i++) {
        size_t n_bytes;
        if (!checked_mul_size(capacity, store->schema->inputs[i].row_bytes, &n_bytes)) return false;
        void *data = realloc(rows->data[i], n_bytes > 0 ? n_bytes : 1);
        if (data == NULL) return false;
        rows->data[i] = data;
    }
    rows->capacity = capacity;
    return true;
}

onnxd_status row_store_init(struct row_store *store, const struct protocol_schema *schema, onnxd_error *err)
{
    *store = (struct row_store){.schema = schema};
    arena_init(&store->strings, STRINGS_LIMIT_BYTES);
    void **data = calloc(schema->n_inputs + 1, sizeof *data);
    if (data == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    store->rows = (struct protocol_rows){
        .data = data, .max_rows = UINT32_MAX, .grow = grow, .grow_context = store, .arena = &store->strings};
    onnxd_status status = protocol_rows_scratch(schema, &store->rows, &store->scratch, err);
    if (status != ONNXD_OK) row_store_done(store);
    return status;
}

static void free_rows(struct row_store *store)
{
    for (uint32_t i = 0; i < store->schema->n_inputs; i++) {
        free(store->rows.data[i]);
        store->rows.data[i] = NULL;
    }
    store->rows.capacity = 0;
}

void row_store_done(struct row_store *store)
{
    if (store->rows.data == NULL) return;
    free_rows(store);
    free(store->rows.data);
    store->rows.data = NULL;
    free(store->scratch);
    arena_done(&store->strings);
}

bool row_store_reserve(struct row_store *store, uint32_t n)
{
    while (store->rows.capacity < n)
        if (!grow(&store->rows, store)) return false;
    return true;
}

bool row_store_append(struct row_store *store, void *const *data, uint32_t first, uint32_t n)
{
    struct protocol_rows *rows = &store->rows;
    if (n > UINT32_MAX - rows->n || !row_store_reserve(store, rows->n + n)) return false;
    for (uint32_t i = 0; i < store->schema->n_inputs; i++) {
        size_t row = store->schema->inputs[i].row_bytes;
        if (row * n > 0)
            memcpy((char *)rows->data[i] + row * rows->n, (const char *)data[i] + row * first, row * n);
    }
    rows->n += n;
    return true;
}

void row_store_drop(struct row_store *store)
{
    size_t held = 0;
    store->rows.n = 0;
    arena_reset(&store->strings);
    for (uint32_t i = 0; i < store->schema->n_inputs; i++)
        held += (size_t)store->rows.capacity * store->schema->inputs[i].row_bytes;
    if (held > KEEP_BYTES) free_rows(store);
}
