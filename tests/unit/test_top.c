/* What `fpm-health top` makes of an answer of /status. */
#define _GNU_SOURCE
#include "unit.h"

#include "top_view.h"

#include <locale.h>
#include <stdio.h>
#include <wchar.h>

static struct top_snapshot take(const char *json, int64_t now_ms)
{
    struct top_snapshot s;
    json_t *status = json_loads(json, 0, NULL);
    assert_non_null(status);
    assert_true(top_take(&s, status, now_ms));
    return s;
}

/* The caller frees it. */
static char *shown(const struct top_snapshot *s, const struct top_look *look)
{
    char *text = NULL;
    size_t length;
    const struct top_pool **order = top_sort(s);
    FILE *out = open_memstream(&text, &length);
    assert_true(order && out);
    top_write(out, s, order, look);
    fclose(out);
    free(order);
    return text;
}

#define POOL(name, state, active, total, queue) \
    "{\"name\":\"" name "\",\"state\":\"" state "\",\"reason\":\"because\",\"weight\":7,\"registered\":true," \
    "\"workers\":{\"max\":10,\"total\":" #total ",\"active\":" #active "},\"queue\":{\"length\":" #queue "}," \
    "\"requests\":100}"
#define STATUS(pools) "{\"pools\":[" pools "]}"

static void what_needs_a_look_comes_first(void **state)
{
    static const char *const wanted[] = {"f", "e", "d", "c", "b", "a", "h", "g", "z"};
    (void)state;
    struct top_snapshot s =
        take(STATUS(POOL("g", "healthy", 1, 4, 0) "," POOL("a", "healthy", 1, 4, 2) "," POOL("b", "maintenance", 0, 4,
                 0) "," POOL("c", "draining", 0, 4, 0) "," POOL("d", "starting", 0, 4, 0) "," POOL("e", "degraded", 4,
                 4, 3) "," POOL("f", "down", 0, 0, 0) "," POOL("h", "healthy", 3, 4, 0) "," POOL("z", "news", 0, 4, 0)),
            0);
    const struct top_pool **order = top_sort(&s);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_string_equal(order[i]->name, wanted[i]);
    }
    free(order);
    top_drop(&s);
}

static void bars_show_one_busy_and_one_idle_worker_among_many(void **state)
{
    static const struct {
        const char *json, *bar;
    } cases[] = {
        {STATUS(POOL("a", "healthy", 0, 10, 0)), "[..........]    0/10 [      ]     0"},
        {STATUS(POOL("a", "healthy", 1, 1000, 0)), "[|.........]  1/1000 [      ]     0"},
        {STATUS(POOL("a", "healthy", 999, 1000, 0)), "[|||||||||.]"},
        {STATUS(POOL("a", "healthy", 1000, 1000, 1)), "[||||||||||]"},
        {STATUS(POOL("a", "healthy", 2, 5, 0)), "[||...     ]     2/5"},
        {STATUS(POOL("a", "healthy", 5, 5, 10)), "[||||||]    10"},
        {STATUS(POOL("a", "healthy", 5, 5, 5)), "[|||   ]     5"},
        {STATUS(POOL("a", "healthy", null, null, null)), "[          ]       - [      ]     -"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct top_snapshot s = take(cases[i].json, 0);
        char *text = shown(&s, &(struct top_look){0});
        print_message("%s", text);
        assert_non_null(strstr(text, cases[i].bar));
        free(text);
        top_drop(&s);
    }
}

static void requests_a_second_need_two_looks_of_one_count(void **state)
{
    (void)state;
    struct top_snapshot before = take(STATUS(POOL("a", "healthy", 0, 1, 0) "," POOL("c", "healthy", 0, 1, 0)), 1000);
    struct top_snapshot unknown = take("{\"pools\":[{\"name\":\"c\"}]}", 1000);
    struct top_snapshot now = take(STATUS(POOL("b", "healthy", 0, 1, 0) "," POOL("c", "healthy", 0, 1, 0)), 3000);
    now.pools[1].requests = 125;
    top_rate(&now, &before);
    assert_true(now.pools[0].rate < 0); /* it was not there before */
    assert_true(now.pools[1].rate > 12.49 && now.pools[1].rate < 12.51);
    now.pools[1] = (struct top_pool){.name = "c", .requests = 99, .rate = -1}; /* it counts anew */
    top_rate(&now, &before);
    assert_true(now.pools[1].rate < 0);
    now.pools[1] = (struct top_pool){.name = "c", .requests = 99, .rate = -1};
    top_rate(&now, &unknown); /* it was not known */
    assert_true(now.pools[1].rate < 0);
    top_drop(&before);
    top_drop(&unknown);
    top_drop(&now);
}

/* Columns that a terminal would take. */
static size_t longest_line(const char *text)
{
    size_t longest = 0, length = 0;
    for (const char *c = text; *c;) {
        wchar_t wide = 0;
        int bytes = mbtowc(&wide, c, MB_CUR_MAX);
        assert_true(bytes > 0);
        if (wide == L'\033') {
            bytes = (int)strcspn(c, "mKJ") + 1;
        } else if (wide == L'\n') {
            length = 0;
        } else if (wide != L'\r') {
            length += (size_t)wcwidth(wide);
        }
        longest = length > longest ? length : longest;
        c += bytes;
    }
    return longest;
}

static void no_line_is_wider_than_any_terminal(void **state)
{
    static const char json[] =
        "{\"node\":\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\",\"consul\":{\"state\":\"failing\",\"error\":\"no route\"},"
        "\"pools\":[" POOL("\xe6\xb1\xa0\xe5\xad\x90-x-\xe6\xb1\xa0\xe5\xad\x90", "healthy", 1, 4, 0) "]}";
    (void)state;
    struct top_snapshot s = take(json, 0);
    for (int columns = 1; columns < 200; columns++) {
        struct top_look look = {
            .columns = columns, .rows = columns % 30, .colour = columns % 2, .trouble = columns % 3 ? NULL : "gone"};
        char *text = shown(&s, &look);
        assert_true(longest_line(text) <= (size_t)columns);
        free(text);
    }
    top_drop(&s);
}

static void what_a_terminal_would_obey_is_never_written(void **state)
{
    (void)state;
    struct top_snapshot s = take(STATUS(POOL("a\\u001b[2J\\u009b2J\\r\\n\\u202e", "h\\u001bx", 0, 1, 0)), 0);
    char *text = shown(&s, &(struct top_look){0});
    for (const char *c = text; *c; c++) {
        assert_true((unsigned char)*c >= ' ' || *c == '\n');
    }
    assert_non_null(strstr(text, "a?[2J?2J??"));
    assert_null(strstr(text, "\xc2\x9b"));
    free(text);
    top_drop(&s);
}

static void an_answer_that_is_no_status_is_an_empty_view(void **state)
{
    static const char *const answers[] = {
        "{}", "[]", "{\"pools\":{}}", "{\"pools\":[1,{},[]]}", "{\"pools\":[{\"name\":1}]}"};
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct top_snapshot s = take(answers[i], 0);
        char *text = shown(&s, &(struct top_look){.columns = 80, .rows = 24});
        assert_non_null(strstr(text, "POOL"));
        free(text);
        top_drop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_a_look_comes_first),
        cmocka_unit_test(bars_show_one_busy_and_one_idle_worker_among_many),
        cmocka_unit_test(requests_a_second_need_two_looks_of_one_count),
        cmocka_unit_test(no_line_is_wider_than_any_terminal),
        cmocka_unit_test(what_a_terminal_would_obey_is_never_written),
        cmocka_unit_test(an_answer_that_is_no_status_is_an_empty_view),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
