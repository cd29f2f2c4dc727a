/* A script's answer: its status and its first line. */
#include "unit.h"

#include "cgi.h"

static void status_and_first_line_are_found(void **state)
{
    static const struct {
        const char *answer;
        int status;
        const char *line;
    } cases[] = {
        {"Content-type: text/html\r\n\r\nfine\n", 200, "fine"},
        {"Status: 503 Service Unavailable\r\nX: y\r\n\r\n\r\n  redis away\r\nmore", 503, "redis away"},
        {"X: y\nstatus: 404\n\nFile not found.\n", 404, "File not found."},
        {"\r\n\r\n", 200, ""},
        {"\n", 200, ""},
        {"Status: nonsense\r\n\r\n", 0, ""},
        {"Content-type: text/html\r\nno end", 0, ""},
        {"", 0, ""},
        {"X: y\r\n\r\nStatus: 500\r\n\r\n", 200, "Status: 500"},
        {"\r\na\x01\xff\tb", 200, "a???b"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[64] = "before";
        assert_int_equal(cgi_parse(cases[i].answer, line, sizeof line), cases[i].status);
        assert_string_equal(line, cases[i].line);
    }
}

static void a_long_line_is_cut(void **state)
{
    char answer[2000] = "\n", line[16];
    (void)state;
    memset(answer + 1, 'x', sizeof answer - 2);
    assert_int_equal(cgi_parse(answer, line, sizeof line), 200);
    assert_int_equal(strlen(line), sizeof line - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_first_line_are_found),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests_name("cgi", tests, NULL, NULL);
}
