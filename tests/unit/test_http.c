/* HTTP requests: what real probers send, and what nobody should. */
#include "unit.h"

#include "bounds.h"
#include "http.h"

static ssize_t parse(const char *text, struct http_request *r)
{
    return http_parse(guarded(text, strlen(text)), strlen(text), r);
}

static void probers_requests_are_understood(void **state)
{
    static const struct {
        const char *text;
        enum http_method method;
        enum http_version version;
        bool keep_alive;
        const char *path, *query;
    } cases[] = {
        {"GET /\r\n", HTTP_GET, HTTP_0_9, false, "/", ""}, /* F5 http monitor */
        {"GET /f5/web\n", HTTP_GET, HTTP_0_9, false, "/f5/web", ""},
        {"OPTIONS / HTTP/1.0\r\n\r\n", HTTP_OPTIONS, HTTP_1_0, false, "/", ""}, /* HAProxy httpchk */
        {"GET /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", HTTP_GET, HTTP_1_1, false, "/p", ""},
        {"GET /p HTTP/1.1\r\n\r\n", HTTP_GET, HTTP_1_1, true, "/p", ""},
        {"HEAD /p?a=1 HTTP/1.1\nHost: h\n\n", HTTP_HEAD, HTTP_1_1, true, "/p", "a=1"},
        {"GET /p HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, HTTP_1_0, true, "/p", ""},
        {"GET http://h:1/p HTTP/1.1\r\n\r\n", HTTP_GET, HTTP_1_1, true, "/p", ""},
        {"OPTIONS * HTTP/1.1\r\n\r\n", HTTP_OPTIONS, HTTP_1_1, true, "*", ""},
        {"\r\n\r\nGET / HTTP/1.1\r\n\r\n", HTTP_GET, HTTP_1_1, true, "/", ""},
        {"POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", HTTP_POST, HTTP_1_1, true, "/p", ""},
        {"BREW /p HTTP/1.1\r\n\r\n", HTTP_OTHER, HTTP_1_1, true, "/p", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request r;
        print_message("  %s?%s\n", cases[i].path, cases[i].query);
        assert_int_equal(parse(cases[i].text, &r), strlen(cases[i].text));
        assert_int_equal(r.method, cases[i].method);
        assert_int_equal(r.version, cases[i].version);
        assert_int_equal(r.keep_alive, cases[i].keep_alive);
        assert_int_equal(r.path_length, strlen(cases[i].path));
        assert_memory_equal(r.path, cases[i].path, r.path_length);
        assert_int_equal(r.query_length, strlen(cases[i].query));
        assert_memory_equal(r.query, cases[i].query, r.query_length);
    }
}

static void every_prefix_of_a_request_needs_more(void **state)
{
    static const char text[] = "POST /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct http_request r;
        assert_int_equal(http_parse(guarded(text, n), n, &r), 0);
    }
}

static void what_is_no_request_is_refused_with_its_status(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"\x16\x03\x01 garbage\r\n", 400},
        {"GET\r\n", 400},
        {"GET  HTTP/1.1\r\n\r\n", 400},
        {"GET /\x01 HTTP/1.1\r\n\r\n", 400},
        {"GET p HTTP/1.1\r\n\r\n", 400},
        {"HEAD /\r\n", 400}, /* 0.9 knows GET alone */
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"GET / HTTP/1.x\r\n\r\n", 505},
        {"GET / HTCPCP\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n: empty\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request r;
        print_message("  refused %zu: %d\n", i, cases[i].status);
        assert_int_equal(parse(cases[i].text, &r), -cases[i].status);
    }
}

static void a_head_without_end_is_refused_at_the_limit(void **state)
{
    static char text[HTTP_HEAD_MAX_BYTES + 1];
    struct http_request r;
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    assert_int_equal(http_parse(guarded(text, HTTP_HEAD_MAX_BYTES - 1), HTTP_HEAD_MAX_BYTES - 1, &r), 0);
    assert_int_equal(http_parse(guarded(text, HTTP_HEAD_MAX_BYTES), HTTP_HEAD_MAX_BYTES, &r), -431);
    assert_int_equal(http_parse(guarded(text, sizeof text), sizeof text, &r), -431);
}

static void pipelined_requests_are_taken_one_by_one(void **state)
{
    static const char text[] = "GET /a HTTP/1.1\r\n\r\nGET /bc HTTP/1.1\r\n\r\n";
    const char *at = guarded(text, sizeof text - 1);
    struct http_request r;
    (void)state;
    ssize_t first = http_parse(at, sizeof text - 1, &r);
    assert_int_equal(first, 19);
    assert_int_equal(http_parse(at + first, sizeof text - 1 - (size_t)first, &r), 20);
    assert_memory_equal(r.path, "/bc", 3);
}

static void percent_encoding_is_undone_or_refused(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {{"/a%20b", "/a b"}, {"%2f%2F", "//"}, {"", ""}, {"%", NULL}, {"%4", NULL}, {"%zz", NULL},
        {"%00", NULL}, {"12345678901", NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[10];
        size_t n = strlen(cases[i].in);
        ssize_t length = http_decode(guarded(cases[i].in, n), n, out, sizeof out);
        assert_int_equal(length, cases[i].out ? (ssize_t)strlen(cases[i].out) : -1);
        if (cases[i].out) {
            assert_memory_equal(out, cases[i].out, (size_t)length);
        }
    }
}

static void query_values_are_found_by_name(void **state)
{
    struct http_request r;
    char value[8];
    (void)state;
    assert_true(parse("GET /p?non=1&on=0&reason=a%20b&long=12345678 HTTP/1.1\r\n\r\n", &r) > 0);
    assert_true(http_query(&r, "on", value, sizeof value));
    assert_string_equal(value, "0");
    assert_true(http_query(&r, "reason", value, sizeof value));
    assert_string_equal(value, "a b");
    assert_false(http_query(&r, "long", value, sizeof value));
    assert_false(http_query(&r, "none", value, sizeof value));
}

static void openmetrics_is_asked_for_by_accept(void **state)
{
    struct http_request r;
    (void)state;
    assert_true(parse("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain\r\n\r\n",
                    &r) > 0);
    assert_true(r.openmetrics);
    assert_true(parse("GET /metrics HTTP/1.1\r\nAccept: */*\r\n\r\n", &r) > 0);
    assert_false(r.openmetrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probers_requests_are_understood),
        cmocka_unit_test(every_prefix_of_a_request_needs_more),
        cmocka_unit_test(what_is_no_request_is_refused_with_its_status),
        cmocka_unit_test(a_head_without_end_is_refused_at_the_limit),
        cmocka_unit_test(pipelined_requests_are_taken_one_by_one),
        cmocka_unit_test(percent_encoding_is_undone_or_refused),
        cmocka_unit_test(query_values_are_found_by_name),
        cmocka_unit_test(openmetrics_is_asked_for_by_accept),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
