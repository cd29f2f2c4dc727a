/* The last minutes of a pool. */
#include "unit.h"

#include "trend.h"

#include <stdio.h>

static char text[8192];

static const char *rendered(const struct trend *t)
{
    struct writer w = {text, sizeof text - 1, 0};
    trend_render(t, &w);
    assert_false(writer_cut(&w));
    text[w.length] = '\0';
    return text;
}

static struct sample look(uint32_t active, uint32_t queue, uint64_t requests)
{
    return (struct sample){.workers_known = true,
        .total = 4,
        .active = active,
        .queue_known = true,
        .queue = queue,
        .requests_known = true,
        .requests = requests};
}

static void a_span_holds_the_most_and_the_worst_that_was_seen(void **state)
{
    struct trend t = {0};
    struct sample s = look(1, 0, 100);
    (void)state;
    trend_note(&t, &s, BOARD_HEALTHY);
    trend_turn(&t, &s);
    s = look(4, 7, 120);
    trend_note(&t, &s, BOARD_DEGRADED);
    s = look(2, 0, 130);
    trend_note(&t, &s, BOARD_HEALTHY);
    trend_turn(&t, &s);
    assert_string_equal(rendered(&t),
        "{\"span_s\":5,\"active\":[1,4],\"total\":[4,4],\"queue\":[0,7],\"requests\":[null,30],"
        "\"states\":[\"healthy\",\"degraded\"]}\n");
}

static void what_is_not_known_is_null_and_never_a_number(void **state)
{
    struct trend t = {0};
    struct sample none = {0}, huge = look(UINT32_MAX, UINT32_MAX, UINT64_MAX);
    (void)state;
    trend_note(&t, &none, BOARD_STARTING);
    trend_turn(&t, &none);
    trend_note(&t, &huge, BOARD_STARTING);
    trend_turn(&t, &huge);
    trend_note(&t, &none, BOARD_STARTING);
    struct sample fewer = look(0, 0, 5); /* a counter that began anew */
    trend_turn(&t, &fewer);
    assert_string_equal(rendered(&t),
        "{\"span_s\":5,\"active\":[null,65534,null],\"total\":[null,4,null],\"queue\":[null,65534,null],"
        "\"requests\":[null,null,null],\"states\":[\"starting\",\"starting\",\"starting\"]}\n");
}

static void only_the_newest_spans_are_kept_in_their_order(void **state)
{
    struct trend t = {0};
    char newest[16];
    (void)state;
    for (uint32_t i = 0; i < TREND_SPANS + 10; i++) {
        struct sample s = look(i, 0, i);
        trend_note(&t, &s, BOARD_HEALTHY);
        trend_turn(&t, &s);
    }
    snprintf(newest, sizeof newest, ",%d],", TREND_SPANS + 9);
    assert_non_null(strstr(rendered(&t), "\"active\":[10,11,"));
    assert_non_null(strstr(text, newest));
}

static void nothing_looked_at_is_no_span(void **state)
{
    struct trend t = {0};
    struct sample s = {0};
    (void)state;
    trend_turn(&t, &s);
    assert_non_null(strstr(rendered(&t), "\"active\":[]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_holds_the_most_and_the_worst_that_was_seen),
        cmocka_unit_test(what_is_not_known_is_null_and_never_a_number),
        cmocka_unit_test(only_the_newest_spans_are_kept_in_their_order),
        cmocka_unit_test(nothing_looked_at_is_no_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
