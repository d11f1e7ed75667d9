/* serve/gunzip.h - unpacks gzip bodies, with a ceiling on what comes out.
 *
 * Threads: one at a time for each struct gunzip. */
#ifndef SERVE_GUNZIP_H
#define SERVE_GUNZIP_H

#include "base/arena.h"
#include "net/http_message.h"
#include "onnxd/status.h"

struct gunzip; /* the decoder's memory, kept between bodies */

/* Unpacks `packed` into the arena; *decoder is made when it is NULL. ONNXD_ERR_LIMIT when more than max_bytes
 * would come out, ONNXD_ERR_FORMAT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status gunzip_body(struct gunzip **decoder, struct http_view packed, size_t max_bytes,
                                        struct arena *arena, struct http_view *ret, onnxd_error *err);
void gunzip_free(struct gunzip *decoder); /* takes NULL */

#endif
