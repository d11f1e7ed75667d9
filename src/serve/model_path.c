#include "serve/model_path.h"

#include <string.h>

/* Takes the part up to the next of two marks. */
static struct http_view take_part(struct http_view *rest, char mark, char other)
{
    struct http_view part = {rest->p, 0};
    while (part.n < rest->n && rest->p[part.n] != mark && rest->p[part.n] != other) part.n++;
    rest->p += part.n;
    rest->n -= part.n;
    return part;
}

static bool read_number(struct http_view text, uint64_t *ret)
{
    uint64_t number = 0;
    if (text.n == 0 || text.n > 19) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        number = number * 10 + (uint64_t)(text.p[i] - '0');
    }
    *ret = number;
    return number > 0;
}

bool model_path_read(struct http_view path, char mark, struct model_path *ret)
{
    static const char versions[] = "/versions/";
    size_t n_versions = sizeof versions - 1;
    *ret = (struct model_path){.version = 0};
    struct http_view rest = path;
    struct http_view name = take_part(&rest, '/', mark);
    if (name.n == 0 || !http_percent_decode(name, ret->name, sizeof ret->name)) return false;
    if (rest.n > n_versions && memcmp(rest.p, versions, n_versions) == 0) {
        rest.p += n_versions;
        rest.n -= n_versions;
        if (!read_number(take_part(&rest, '/', mark), &ret->version)) return false;
    }
    if (rest.n == 0) return true;
    if (rest.p[0] != mark && !(mark == ':' && rest.p[0] == '/')) return false;
    ret->verb = (struct http_view){rest.p + 1, rest.n - 1};
    return ret->verb.n > 0;
}
