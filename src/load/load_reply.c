#include "load/load_reply.h"

#include <string.h>
#include <strings.h>

static bool is_header(const char *line, size_t n, const char *name, size_t n_name)
{
    return n > n_name && line[n_name] == ':' && strncasecmp(line, name, n_name) == 0;
}

static bool has_token(const char *value, size_t n, const char *token)
{
    size_t n_token = strlen(token);
    for (size_t i = 0; i + n_token <= n; i++)
        if (strncasecmp(value + i, token, n_token) == 0) return true;
    return false;
}

static bool read_length(const char *value, size_t n, uint64_t *ret)
{
    uint64_t length = 0;
    size_t i = 0;
    while (i < n && (value[i] == ' ' || value[i] == '\t')) i++;
    if (i == n) return false;
    for (; i < n && value[i] >= '0' && value[i] <= '9'; i++) {
        if (length > UINT64_MAX / 10 - 9) return false;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    while (i < n && (value[i] == ' ' || value[i] == '\t')) i++;
    *ret = length;
    return i == n;
}

/* The head without its last empty line. */
static bool read_head(struct load_reply *r, const char *head, size_t n)
{
    if (n < 12 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ') return false;
    unsigned status = 0;
    for (int i = 9; i < 12; i++) {
        if (head[i] < '0' || head[i] > '9') return false;
        status = status * 10 + (unsigned)(head[i] - '0');
    }
    if (status < 100 || status > 599) return false;
    bool has_length = false;
    *r = (struct load_reply){.status = (uint16_t)status, .closes = head[7] == '0'};
    const char *end = head + n;
    for (const char *line = memchr(head, '\n', n); line != NULL && ++line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t n_line = (size_t)((stop != NULL ? stop : end) - line);
        if (n_line > 0 && line[n_line - 1] == '\r') n_line--;
        char first = (char)(*line | 0x20);
        if (first == 'c' && is_header(line, n_line, "content-length", 14)) {
            if (!read_length(line + 15, n_line - 15, &r->left)) return false;
            has_length = true;
        } else if (first == 'c' && is_header(line, n_line, "connection", 10)) {
            if (has_token(line + 11, n_line - 11, "close"))
                r->closes = true;
            else if (has_token(line + 11, n_line - 11, "keep-alive"))
                r->closes = false;
        } else if (first == 't' && is_header(line, n_line, "transfer-encoding", 17)) {
            r->chunked = has_token(line + 18, n_line - 18, "chunked");
        }
        line = stop;
    }
    if (status < 200 || status == 204 || status == 304)
        r->left = 0;
    else if (r->chunked)
        r->state = LOAD_CHUNK_SIZE;
    else if (has_length)
        r->state = LOAD_BODY;
    else
        r->state = LOAD_BODY_TO_END;
    return true;
}

static bool read_chunk_size(const char *line, size_t n, uint64_t *ret)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < n; i++) {
        char c = (char)(line[i] | 0x20);
        int digit = line[i] >= '0' && line[i] <= '9' ? line[i] - '0'
                    : c >= 'a' && c <= 'f'           ? c - 'a' + 10
                                                     : -1;
        if (digit < 0) break;
        if (size >> 56 != 0) return false;
        size = size << 4 | (uint64_t)digit;
    }
    *ret = size;
    return i > 0 && (i == n || line[i] == ';' || line[i] == '\r' || line[i] == ' ');
}

/* One line of a chunked body: a size, the end of a chunk or a trailer. LOAD_MORE: go on. */
static enum load_scan take_line(struct load_reply *r, const char *line, size_t n)
{
    bool empty = n == 0 || (n == 1 && line[0] == '\r');
    if (r->state == LOAD_CHUNK_SIZE) {
        if (!read_chunk_size(line, n, &r->left)) return LOAD_BAD;
        r->state = r->left == 0 ? LOAD_TRAILER : LOAD_BODY;
    } else if (r->state == LOAD_CHUNK_END) {
        if (!empty) return LOAD_BAD;
        r->state = LOAD_CHUNK_SIZE;
    } else if (empty) {
        r->state = LOAD_HEAD;
        return LOAD_DONE;
    }
    return LOAD_MORE;
}

enum load_scan load_reply_scan(struct load_reply *r, const char *bytes, size_t n, size_t *used)
{
    size_t at = 0;
    for (;;) {
        *used = at;
        size_t left = n - at;
        if (r->state == LOAD_HEAD) {
            const char *end = memmem(bytes + at, left, "\r\n\r\n", 4);
            if (end == NULL) return left > LOAD_MAX_HEAD_BYTES ? LOAD_BAD : LOAD_MORE;
            if (!read_head(r, bytes + at, (size_t)(end - bytes) - at)) return LOAD_BAD;
            at = (size_t)(end - bytes) + 4;
            if (r->status < 200) continue;
            *used = at;
            if (r->state == LOAD_HEAD) return LOAD_DONE;
        } else if (r->state == LOAD_BODY) {
            size_t take = left < r->left ? left : (size_t)r->left;
            r->left -= take;
            at += take;
            *used = at;
            if (r->left > 0) return LOAD_MORE;
            r->state = r->chunked ? LOAD_CHUNK_END : LOAD_HEAD;
            if (!r->chunked) return LOAD_DONE;
        } else if (r->state == LOAD_BODY_TO_END) {
            *used = n;
            return LOAD_MORE;
        } else {
            const char *end = memchr(bytes + at, '\n', left);
            if (end == NULL) return left > LOAD_MAX_HEAD_BYTES ? LOAD_BAD : LOAD_MORE;
            enum load_scan result = take_line(r, bytes + at, (size_t)(end - bytes) - at);
            at = (size_t)(end - bytes) + 1;
            *used = at;
            if (result != LOAD_MORE) return result;
        }
    }
}

bool load_reply_end(struct load_reply *r)
{
    bool done = r->state == LOAD_BODY_TO_END;
    if (done) *r = (struct load_reply){.status = r->status, .closes = true};
    return done;
}
