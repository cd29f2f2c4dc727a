/* The request parser by itself, as the server calls it: a batch of pipelined requests. */
#include "fuzz.h"

#include "http.h"

static void require_inside(const char *part, size_t length, const char *begin, const char *end)
{
    REQUIRE(part >= begin && part + length <= end);
}

/* What was read whole is not whole a byte earlier, and does not change with what follows. */
static void require_same_alone(const char *at, size_t taken, const struct http_request *r)
{
    struct http_request alone;
    REQUIRE(http_parse(at, taken, &alone) == (ssize_t)taken);
    REQUIRE(alone.method == r->method && alone.version == r->version && alone.keep_alive == r->keep_alive);
    REQUIRE(alone.path == r->path && alone.path_length == r->path_length && alone.query_length == r->query_length);
    REQUIRE(http_parse(at, taken - 1, &alone) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    while (at < end) {
        struct http_request r;
        char out[64];
        ssize_t taken = http_parse(at, (size_t)(end - at), &r);
        if (taken <= 0) {
            REQUIRE(taken == 0 || (taken <= -400 && taken >= -599));
            break;
        }
        REQUIRE(taken <= end - at);
        require_inside(r.path, r.path_length, at, at + taken);
        require_inside(r.query, r.query_length, at, at + taken);
        require_same_alone(at, (size_t)taken, &r);
        ssize_t n = http_decode(r.path, r.path_length, out, sizeof out);
        REQUIRE(n <= (ssize_t)sizeof out && (n <= 0 || !memchr(out, '\0', (size_t)n)));
        if (http_query(&r, "reason", out, sizeof out)) {
            REQUIRE(strlen(out) < sizeof out);
        }
        at += taken;
    }
    return 0;
}
