#include "ops/op.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "ops/op_families.h"

#define DECLARE(name) extern const struct op_def name[];
OP_FAMILIES(DECLARE)
#undef DECLARE

#define LIST(name) name,
static const struct op_def *const families[] = {OP_FAMILIES(LIST)};
#undef LIST

enum { N_FAMILIES = sizeof families / sizeof families[0], MAX_OPS = 1024 };

/* Definitions sorted by nothing: the map leads from "domain:name" to the first one, `next` to the others
 * of that name. Built once, then read only. */
static const struct op_def *definitions[MAX_OPS];
static uint32_t next_of_name[MAX_OPS];
static char keys[MAX_OPS][64];
static uint32_t n_definitions;
static struct map by_name;

static void build_table(void)
{
    map_init(&by_name);
    for (uint32_t f = 0; f < N_FAMILIES; f++)
        for (const struct op_def *def = families[f]; def->name != NULL && n_definitions < MAX_OPS; def++) {
            uint32_t i = n_definitions++;
            int n = snprintf(keys[i], sizeof keys[i], "%s:%s", def->domain, def->name);
            definitions[i] = def;
            next_of_name[i] = map_get(&by_name, keys[i], (size_t)n);
            if (!map_put(&by_name, keys[i], (size_t)n, i)) n_definitions--;
        }
}

static void ensure_table(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build_table);
}

const struct op_def *op_find(const char *domain, const char *name, int64_t opset)
{
    ensure_table();
    char key[64];
    int n = snprintf(key, sizeof key, "%s:%s", domain, name);
    if (n < 0 || (size_t)n >= sizeof key) return NULL;
    for (uint32_t i = map_get(&by_name, key, (size_t)n); i != MAP_NONE; i = next_of_name[i])
        if (definitions[i]->since <= opset && opset < definitions[i]->until) return definitions[i];
    return NULL;
}

const struct op_def *op_at(uint32_t i)
{
    ensure_table();
    return i < n_definitions ? definitions[i] : NULL;
}

onnxd_status op_error(onnxd_error *err, const struct node *node, onnxd_status status, const char *format, ...)
{
    if (err == NULL) return status;
    char text[ONNXD_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(err, status, "node '%.128s' (%.64s): %s", node->name, node->op_type, text);
}
