/* HTTP requests; see http.h. */
#define _GNU_SOURCE
#include "http.h"

#include "bounds.h"

#include <string.h>
#include <strings.h>

/* The headers of one request that change the answer. */
struct head {
    bool close, keep_alive, chunked;
    size_t body_bytes;
};

static enum http_method method_of(const char *word, size_t n)
{
    static const struct {
        const char *word;
        size_t length;
        enum http_method method;
    } known[] = {{"GET", 3, HTTP_GET}, {"HEAD", 4, HTTP_HEAD}, {"OPTIONS", 7, HTTP_OPTIONS}, {"POST", 4, HTTP_POST}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (n == known[i].length && memcmp(word, known[i].word, n) == 0) {
            return known[i].method;
        }
    }
    return HTTP_OTHER;
}

static bool is_token(const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!((word[i] >= 'A' && word[i] <= 'Z') || (word[i] >= 'a' && word[i] <= 'z') || word[i] == '-')) {
            return false;
        }
    }
    return n > 0;
}

static bool has_control(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)at[i] <= ' ' || at[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

/* The request line, without its line end. Returns 0 or minus a status. */
static int parse_line(const char *line, size_t length, struct http_request *r)
{
    const char *end = line + length;
    const char *space = memchr(line, ' ', length);
    if (!space) {
        return -400;
    }
    r->method = method_of(line, (size_t)(space - line));
    if (r->method == HTTP_OTHER && !is_token(line, (size_t)(space - line))) {
        return -400;
    }
    const char *target = space + 1;
    const char *version = memrchr(target, ' ', (size_t)(end - target));
    const char *target_end = version ? version : end;
    if (target_end == target || has_control(target, (size_t)(target_end - target))) {
        return -400;
    }
    if (!version) {
        r->version = HTTP_0_9;
    } else if (end - version == 9 && memcmp(version, " HTTP/1.", 8) == 0 && version[8] >= '0' && version[8] <= '9') {
        r->version = version[8] == '0' ? HTTP_1_0 : HTTP_1_1;
    } else {
        return end - version == 9 && memcmp(version, " HTTP/", 6) == 0 ? -505 : -400;
    }
    if (*target != '/' && *target != '*') { /* absolute form: http://host/path */
        const char *host = memmem(target, (size_t)(target_end - target), "://", 3);
        target = host ? memchr(host + 3, '/', (size_t)(target_end - host - 3)) : NULL;
        if (!target) {
            return -400;
        }
    }
    const char *mark = memchr(target, '?', (size_t)(target_end - target));
    r->path = target;
    r->path_length = (size_t)((mark ? mark : target_end) - target);
    r->query = mark ? mark + 1 : target_end;
    r->query_length = (size_t)(target_end - r->query);
    return 0;
}

static bool contains(const char *value, size_t n, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= n; i++) {
        if (strncasecmp(value + i, word, length) == 0) {
            return true;
        }
    }
    return false;
}

static int parse_length(const char *value, size_t n, size_t *body_bytes)
{
    size_t total = 0;
    if (n == 0 || n > HTTP_LENGTH_MAX_DIGITS) {
        return n ? -413 : -400;
    }
    for (size_t i = 0; i < n; i++) {
        if (value[i] < '0' || value[i] > '9') {
            return -400;
        }
        total = total * 10 + (size_t)(value[i] - '0');
    }
    *body_bytes = total;
    return total > HTTP_BODY_MAX_BYTES ? -413 : 0;
}

/* One header line. Only names that matter are looked at closer than their length: a probe's head is read in one pass. */
static int parse_header(const char *line, size_t length, struct http_request *r, struct head *h)
{
    const char *colon = memchr(line, ':', length);
    if (!colon || colon == line || line[0] == ' ' || line[0] == '\t') {
        return -400;
    }
    size_t name = (size_t)(colon - line);
    if (name != 6 && name != 10 && name != 14 && name != 17) {
        return 0;
    }
    const char *value = colon + 1;
    const char *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    size_t n = (size_t)(end - value);
    if (name == 10 && strncasecmp(line, "Connection", 10) == 0) {
        h->close |= contains(value, n, "close");
        h->keep_alive |= contains(value, n, "keep-alive");
    } else if (name == 6 && strncasecmp(line, "Accept", 6) == 0) {
        r->openmetrics |= contains(value, n, "application/openmetrics-text");
    } else if (name == 14 && strncasecmp(line, "Content-Length", 14) == 0) {
        return parse_length(value, n, &h->body_bytes);
    } else if (name == 17 && strncasecmp(line, "Transfer-Encoding", 17) == 0) {
        return -501;
    }
    return 0;
}

/* The end of the line at `at` (its LF) or NULL; *length is without CR. */
static const char *line_end(const char *at, const char *end, size_t *length)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    if (lf) {
        *length = (size_t)(lf - at) - (lf > at && lf[-1] == '\r');
    }
    return lf;
}

ssize_t http_parse(const char *bytes, size_t length, struct http_request *r)
{
    const char *at = bytes, *end = bytes + length;
    const char *limit = length > HTTP_HEAD_MAX_BYTES ? bytes + HTTP_HEAD_MAX_BYTES : end;
    ssize_t unfinished = limit < end || length == HTTP_HEAD_MAX_BYTES ? -431 : 0;

    while (at < limit && (*at == '\r' || *at == '\n')) {
        at++;
    }
    size_t n;
    const char *lf = line_end(at, limit, &n);
    if (!lf) {
        return unfinished;
    }
    *r = (struct http_request){0};
    struct head head = {0};
    int error = parse_line(at, n, r);
    if (error) {
        return error;
    }
    if (r->version == HTTP_0_9) {
        return r->method == HTTP_GET ? lf + 1 - bytes : -400;
    }
    for (;;) {
        at = lf + 1;
        lf = line_end(at, limit, &n);
        if (!lf) {
            return unfinished;
        }
        if (n == 0) {
            break;
        }
        error = parse_header(at, n, r, &head);
        if (error) {
            return error;
        }
    }
    r->keep_alive = !head.close && (r->version == HTTP_1_1 || head.keep_alive);
    size_t taken = (size_t)(lf + 1 - bytes) + head.body_bytes;
    return taken <= length ? (ssize_t)taken : 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
        : c >= 'a' && c <= 'f'  ? c - 'a' + 10
        : c >= 'A' && c <= 'F'  ? c - 'A' + 10
                                : -1;
}

ssize_t http_decode(const char *path, size_t length, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)path[i];
        if (c == '%') {
            int high = i + 2 < length ? hex(path[i + 1]) : -1;
            int low = i + 2 < length ? hex(path[i + 2]) : -1;
            c = high * 16 + low;
            i += 2;
            if (high < 0 || low < 0 || c == 0) {
                return -1;
            }
        }
        if (n == room) {
            return -1;
        }
        out[n++] = (char)c;
    }
    return (ssize_t)n;
}

bool http_query(const struct http_request *r, const char *name, char *out, size_t room)
{
    const char *at = r->query, *end = r->query + r->query_length;
    size_t name_length = strlen(name);
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *stop = next ? next : end;
        if ((size_t)(stop - at) > name_length && memcmp(at, name, name_length) == 0 && at[name_length] == '=') {
            ssize_t n = http_decode(at + name_length + 1, (size_t)(stop - at) - name_length - 1, out, room - 1);
            if (n >= 0) {
                out[n] = '\0';
            }
            return n >= 0;
        }
        at = stop + 1;
    }
    return false;
}
