/* Bounded text, and how it is escaped. */
#include "unit.h"

#include "writer.h"

#include <stdio.h>

static char room[256];

static const char *text_of(const struct writer *w)
{
    assert_false(writer_cut(w));
    room[w->length] = '\0';
    return room;
}

static struct writer fresh(void)
{
    return (struct writer){room, sizeof room - 1, 0};
}

static void numbers_are_as_printf_writes_them(void **state)
{
    static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, 12345678901234567890u, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        char wanted[32];
        struct writer w = fresh();
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)numbers[i]);
        writer_number(&w, numbers[i]);
        assert_string_equal(text_of(&w), wanted);
    }
}

static void labels_are_escaped_as_prometheus_wants(void **state)
{
    static const struct {
        const char *text, *label;
    } cases[] = {{"", ""}, {"web", "web"}, {"a\"b", "a\\\"b"}, {"\\", "\\\\"}, {"\n\n", "\\n\\n"},
        {"\xc3\xbc\"", "\xc3\xbc\\\""}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct writer w = fresh();
        writer_label(&w, cases[i].text);
        assert_string_equal(text_of(&w), cases[i].label);
    }
}

static void json_strings_are_valid_whatever_the_bytes(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {{"", "\"\""}, {"a b", "\"a b\""}, {"a\"\\", "\"a\\\"\\\\\""}, {"\x01\x7f", "\"\\u0001\\u007f\""},
        {"\xc3\xbc", "\"\xc3\xbc\""}, {"\xc3", "\"?\""},
        {"\xff\xfe"
         "a",
            "\"??a\""},
        {"\xed\xa0\x80", "\"???\""}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct writer w = fresh();
        writer_json(&w, cases[i].text);
        assert_string_equal(text_of(&w), cases[i].json);
    }
}

static void what_does_not_fit_is_counted_and_cut(void **state)
{
    char small[4] = "....";
    struct writer w = {small, 3, 0};
    (void)state;
    writer_text(&w, "ab");
    writer_number(&w, 1234);
    assert_true(writer_cut(&w));
    assert_int_equal(w.length, 6);
    assert_memory_equal(small, "ab1.", 4);
}

static void what_stands_there_is_repeated_as_far_as_it_fits(void **state)
{
    char small[9] = "........";
    struct writer w = {small, 7, 0};
    (void)state;
    writer_text(&w, "abc");
    writer_again(&w, 1, 2);
    assert_memory_equal(small, "abcbc...", 8);
    writer_again(&w, 0, 3);
    assert_memory_equal(small, "abcbcab.", 8);
    assert_int_equal(w.length, 8);
    writer_again(&w, 6, 2); /* was cut itself */
    assert_int_equal(w.length, 10);
    assert_memory_equal(small, "abcbcab.", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_as_printf_writes_them),
        cmocka_unit_test(labels_are_escaped_as_prometheus_wants),
        cmocka_unit_test(json_strings_are_valid_whatever_the_bytes),
        cmocka_unit_test(what_does_not_fit_is_counted_and_cut),
        cmocka_unit_test(what_stands_there_is_repeated_as_far_as_it_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
