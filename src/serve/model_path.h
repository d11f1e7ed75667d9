/* serve/model_path.h - paths that name a model: /v2/models/M/versions/3/infer, /v1/models/M:predict. */
#ifndef SERVE_MODEL_PATH_H
#define SERVE_MODEL_PATH_H

#include "net/http_message.h"
#include "serve/version.h"

struct model_path {
    char name[VERSION_NAME_BYTES]; /* decoded */
    uint64_t version;              /* 0: none was named */
    struct http_view verb;         /* what follows, such as "infer" or "predict"; n == 0: nothing */
};

/* Reads what stands behind "/models/" . `mark` is what the verb is set off by: '/' or ':'. False when
 * the path has no such form, the name does not fit or the version is no positive number. */
bool model_path_read(struct http_view path, char mark, struct model_path *ret);

#endif
