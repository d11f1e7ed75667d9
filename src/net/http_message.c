#include "net/http_message.h"

#include <string.h>

const char *http_method_name(enum http_method method)
{
    static const char *const names[HTTP_N_METHODS] = {"OTHER", "GET",    "HEAD",   "POST",
                                                      "PUT",   "DELETE", "OPTIONS"};
    return (unsigned)method < HTTP_N_METHODS ? names[method] : "OTHER";
}

const char *http_status_reason(uint16_t status)
{
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool http_percent_decode(struct http_view text, char *out, size_t n_out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            if (text.n - i < 3) return false;
            int high = hex_digit(text.p[i + 1]), low = hex_digit(text.p[i + 2]);
            if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (n + 1 >= n_out) return false;
        out[n++] = c;
    }
    if (n_out == 0) return false;
    out[n] = 0;
    return true;
}

bool http_query_get(struct http_view query, const char *name, char *out, size_t n_out)
{
    size_t n_name = strlen(name);
    const char *p = query.p, *end = query.n > 0 ? query.p + query.n : query.p;
    while (p < end) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        if (stop == NULL) stop = end;
        if ((size_t)(stop - p) > n_name && memcmp(p, name, n_name) == 0 && p[n_name] == '=') {
            struct http_view value = {p + n_name + 1, (size_t)(stop - p) - n_name - 1};
            return http_percent_decode(value, out, n_out);
        }
        p = stop + 1;
    }
    return false;
}
