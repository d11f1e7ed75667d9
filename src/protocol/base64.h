/* protocol/base64.h - RFC 4648 base64, strict: full alphabet, padding, no blanks, no stray bits. */
#ifndef PROTOCOL_BASE64_H
#define PROTOCOL_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Decodes into out, which has room for n / 4 * 3 bytes. False when the text is no base64. */
bool base64_decode(const char *text, size_t n, char *out, size_t *ret_n);

/* Appends the text of n bytes; a full buffer sets out->failed. */
void base64_append(struct buf *out, const void *bytes, size_t n);

#endif
