/* Any bytes as replies. Cutting them in two must not change what is found. The first byte says where. */
#include <stdlib.h>
#include <string.h>

#include "load/load_reply.h"

struct found {
    uint32_t n;
    uint64_t statuses; /* a sum that depends on the order */
    bool bad;
};

/* Scans bytes[0..n) given in two pieces. */
static struct found scan(const uint8_t *bytes, size_t n, size_t cut)
{
    struct load_reply reply = {0};
    struct found found = {0};
    size_t at = 0, ends[2] = {cut, n};
    for (int piece = 0; piece < 2 && !found.bad; piece++) {
        for (;;) {
            size_t given = ends[piece] - at, used = 0;
            char *copy = malloc(given > 0 ? given : 1); /* exactly as large, so that a read past it is seen */
            memcpy(copy, bytes + at, given);
            enum load_scan result = load_reply_scan(&reply, copy, given, &used);
            free(copy);
            if (used > given) abort();
            at += used;
            if (result == LOAD_MORE) break;
            found.bad = result == LOAD_BAD;
            if (found.bad) break;
            if (reply.status < 200 || reply.status > 599) abort();
            found.n++;
            found.statuses = found.statuses * 31 + reply.status;
            reply = (struct load_reply){0};
        }
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1) return 0;
    size_t cut = data[0] % n;
    struct found whole = scan(data + 1, n - 1, 0), parts = scan(data + 1, n - 1, cut);
    if (whole.n != parts.n || whole.statuses != parts.statuses || whole.bad != parts.bad) abort();
    return 0;
}
