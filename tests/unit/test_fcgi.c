/* FastCGI records, and FPM's status page in them. */
#include "unit.h"

#include "fcgi.h"
#include "fpm_status.h"

static const unsigned char *guarded_bytes(const void *bytes, size_t n)
{
    return (const unsigned char *)guarded(bytes, n);
}

static void a_request_has_its_records_in_order(void **state)
{
    unsigned char out[256];
    const struct fcgi_pair pairs[] = {{"A", "1"}, {"LONG", ""}};
    (void)state;
    size_t n = fcgi_request(out, sizeof out, pairs, COUNT(pairs));
    static const unsigned char expected[] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0,
        0,                                                                 /* BEGIN, responder, no keep */
        1, 4, 0, 1, 0, 10, 0, 0, 1, 1, 'A', '1', 4, 0, 'L', 'O', 'N', 'G', /* PARAMS */
        1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0};                   /* their end, empty STDIN */
    assert_int_equal(n, sizeof expected);
    assert_memory_equal(out, expected, n);
}

static void long_values_have_four_bytes_of_length(void **state)
{
    static char value[301];
    static unsigned char out[512];
    (void)state;
    memset(value, 'v', 300);
    assert_true(fcgi_request(out, sizeof out, &(struct fcgi_pair){"N", value}, 1) > 0);
    static const unsigned char lengths[] = {1, 0x80, 0, 1, 44, 'N', 'v'};
    assert_memory_equal(out + 24, lengths, sizeof lengths);
}

static void a_request_that_does_not_fit_is_none(void **state)
{
    unsigned char out[64];
    (void)state;
    assert_int_equal(fcgi_request(out, sizeof out, &(struct fcgi_pair){"NAME", "a value that is too long"}, 1), 0);
}

static void records_are_read_and_their_prefixes_need_more(void **state)
{
    static const unsigned char out[] = {1, 6, 0, 1, 0, 3, 2, 0, 'a', 'b', 'c', 0, 0};
    static const unsigned char end[] = {1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0};
    struct fcgi_record r;
    (void)state;
    for (size_t n = 0; n < sizeof out; n++) {
        assert_int_equal(fcgi_parse(guarded_bytes(out, n), n, &r), 0);
    }
    assert_int_equal(fcgi_parse(guarded_bytes(out, sizeof out), sizeof out, &r), sizeof out);
    assert_int_equal(r.type, FCGI_STDOUT);
    assert_int_equal(r.length, 3);
    assert_memory_equal(r.content, "abc", 3);
    assert_int_equal(fcgi_parse(guarded_bytes(end, sizeof end), sizeof end, &r), sizeof end);
    assert_int_equal(r.type, FCGI_END);
    assert_int_equal(r.app_status, 0x0102);
    assert_int_equal(r.protocol_status, 3);
}

static void garbage_is_refused_by_its_first_bytes(void **state)
{
    static const struct {
        unsigned char bytes[8];
        size_t length;
    } cases[] = {
        {"H", 1}, {{1, 1}, 2}, {{1, 9}, 2}, {{1, 6, 1, 1}, 4}, {{1, 6, 0, 2}, 4}, {{1, 3, 0, 1, 0, 7, 0, 0}, 8}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fcgi_record r;
        assert_int_equal(fcgi_parse(guarded_bytes(cases[i].bytes, cases[i].length), cases[i].length, &r), -1);
    }
}

static void the_status_page_is_read_and_nothing_else_passes_for_it(void **state)
{
    static const struct {
        const char *answer;
        bool fine;
    } cases[] = {
        {"Content-Type: application/json\r\n\r\n{\"accepted conn\":7,\"listen queue\":1,\"listen queue len\":511,"
         "\"active processes\":2,\"total processes\":5}",
            true},
        {"Status: 500 Oops\r\n\r\n{\"accepted conn\":7,\"listen queue\":1,\"listen queue len\":511,"
         "\"active processes\":2,\"total processes\":5}",
            false},
        {"X: y\r\n\r\n{\"accepted conn\":-7,\"listen queue\":1,\"listen queue len\":511,\"active processes\":2,"
         "\"total processes\":5}",
            false},
        {"X: y\r\n\r\n{\"accepted conn\":7}", false},
        {"X: y\r\n\r\n[]", false},
        {"X: y\r\n\r\n<html>", false},
        {"no end of headers", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fpm_status status;
        assert_int_equal(
            fpm_status_parse(guarded(cases[i].answer, strlen(cases[i].answer) + 1), &status), cases[i].fine);
        if (cases[i].fine) {
            assert_int_equal(status.total, 5);
            assert_int_equal(status.active, 2);
            assert_int_equal(status.queue_max, 511);
            assert_int_equal(status.accepted, 7);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_its_records_in_order),
        cmocka_unit_test(long_values_have_four_bytes_of_length),
        cmocka_unit_test(a_request_that_does_not_fit_is_none),
        cmocka_unit_test(records_are_read_and_their_prefixes_need_more),
        cmocka_unit_test(garbage_is_refused_by_its_first_bytes),
        cmocka_unit_test(the_status_page_is_read_and_nothing_else_passes_for_it),
    };
    return cmocka_run_group_tests_name("fcgi", tests, NULL, NULL);
}
