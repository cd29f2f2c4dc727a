/* Each state in each prober's words: the table of the design, cell by cell. */
#include "unit.h"

#include "dialect.h"

static const enum board_state states[] = {
    BOARD_HEALTHY, BOARD_DEGRADED, BOARD_STARTING, BOARD_DRAINING, BOARD_MAINTENANCE, BOARD_DOWN};

static struct verdict verdict_in(enum board_state state)
{
    struct verdict v = {.state = state, .weight = state == BOARD_HEALTHY ? 100 : state == BOARD_DEGRADED ? 40 : 0};
    if (state != BOARD_HEALTHY) {
        strcpy(v.reason, "because state=ready | \"x\"");
    }
    return v;
}

static const char *body(enum dialect dialect, enum board_state state)
{
    static char text[1024];
    static const struct sample sample = {
        .workers_known = true, .total = 4, .active = 1, .queue_known = true, .queue = 2, .queue_max = 511};
    struct verdict v = verdict_in(state);
    struct writer w = {text, sizeof text - 1, 0};
    dialect_body(dialect, &(struct subject){"web", &v, &sample}, &w);
    assert_false(writer_cut(&w));
    text[w.length] = '\0';
    return text;
}

static void status_tells_the_state(void **state)
{
    static const struct {
        enum dialect dialect;
        int status[6];
    } cases[] = {
        {DIALECT_HEALTH, {200, 200, 503, 503, 503, 503}},
        {DIALECT_READY, {200, 200, 503, 503, 503, 503}},
        {DIALECT_CONSUL, {200, 429, 503, 503, 503, 503}},
        {DIALECT_HAPROXY, {200, 200, 404, 404, 404, 503}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t s = 0; s < COUNT(states); s++) {
            assert_int_equal(dialect_status(cases[i].dialect, states[s]), cases[i].status[s]);
        }
    }
}

static void envoy_headers_are_on_the_generic_paths_alone(void **state)
{
    (void)state;
    assert_string_equal(dialect_headers(DIALECT_READY, BOARD_DEGRADED), "x-envoy-degraded: true\r\n");
    assert_string_equal(
        dialect_headers(DIALECT_HEALTH, BOARD_DRAINING), "x-envoy-immediate-health-check-fail: true\r\n");
    assert_string_equal(dialect_headers(DIALECT_F5, BOARD_DRAINING), "");
    assert_string_equal(dialect_headers(DIALECT_READY, BOARD_HEALTHY), "");
}

static void f5_tokens_are_disjoint_whatever_the_reason_says(void **state)
{
    static const char *const tokens[] = {
        "state=ready", "state=ready", "state=starting", "state=drain", "state=maint", "state=down"};
    (void)state;
    for (size_t s = 0; s < COUNT(states); s++) {
        const char *text = body(DIALECT_F5, states[s]);
        for (size_t t = 0; t < COUNT(tokens); t++) {
            assert_int_equal(strstr(text, tokens[t]) != NULL, strcmp(tokens[t], tokens[s]) == 0);
        }
    }
}

static void every_agent_line_carries_a_state_word(void **state)
{
    static const char *const lines[] = {
        "ready up 100%\n", "ready up 40%\n", "drain up #starting\n", "drain up\n", "maint\n", "down #"};
    (void)state;
    for (size_t s = 0; s < COUNT(states); s++) {
        assert_memory_equal(body(DIALECT_AGENT, states[s]), lines[s], strlen(lines[s]));
    }
}

static void nagios_gets_code_word_and_performance_data(void **state)
{
    static const struct {
        int code;
        const char *begin;
    } cases[] = {{0, "OK - web healthy | "}, {1, "WARNING - web degraded: "}, {2, "CRITICAL - web starting: "},
        {2, "CRITICAL - web draining: "}, {2, "CRITICAL - web maintenance: "}, {2, "CRITICAL - web down: "}};
    static const struct sample sample = {
        .workers_known = true, .total = 4, .active = 1, .queue_known = true, .queue = 2, .queue_max = 511};
    (void)state;
    for (size_t s = 0; s < COUNT(states); s++) {
        char text[256];
        struct verdict v = verdict_in(states[s]);
        struct writer w = {text, sizeof text - 1, 0};
        assert_int_equal(dialect_nagios(&(struct subject){"web", &v, &sample}, &w), cases[s].code);
        text[w.length] = '\0';
        assert_memory_equal(text, cases[s].begin, strlen(cases[s].begin));
        assert_string_equal(strchr(text, '|'), "| active=1 idle=3 queue=2;;;0;511\n");
    }
}

static void health_json_quotes_what_php_said(void **state)
{
    (void)state;
    assert_string_equal(body(DIALECT_HEALTH, BOARD_DEGRADED),
        "{\"status\":\"warn\",\"checks\":{\"pool:state\":[{\"componentId\":\"web\",\"status\":\"warn\","
        "\"observedValue\":\"degraded\","
        "\"weight\":40,\"output\":\"because state=ready | \\\"x\\\"\"}]}}\n");
}

static void text_is_cut_but_its_length_goes_on(void **state)
{
    char room[4];
    struct writer w = {room, sizeof room, 0};
    (void)state;
    writer_text(&w, "abc");
    assert_false(writer_cut(&w));
    writer_text(&w, "defg");
    assert_true(writer_cut(&w));
    assert_int_equal(w.length, 7);
    assert_memory_equal(room, "abcd", 4);
}

static void json_and_labels_are_escaped(void **state)
{
    char room[64];
    struct writer w = {room, sizeof room, 0};
    (void)state;
    writer_json(&w, "\"\\\n\xc3\xa4\xff\xe2\x82");
    assert_int_equal(w.length, strlen("\"\\\"\\\\\\u000a\xc3\xa4???\""));
    assert_memory_equal(room, "\"\\\"\\\\\\u000a\xc3\xa4???\"", w.length);
    w.length = 0;
    writer_label(&w, "a\"b\\c\nd");
    assert_memory_equal(room, "a\\\"b\\\\c\\nd", w.length);
}

static void clean_text_never_splits_a_character(void **state)
{
    char out[4];
    (void)state;
    text_clean(out, sizeof out, "ab\xe2\x82\xac");
    assert_string_equal(out, "ab");
    text_clean(out, sizeof out, "\xe2\x82\xacz");
    assert_string_equal(out, "\xe2\x82\xac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_tells_the_state),
        cmocka_unit_test(envoy_headers_are_on_the_generic_paths_alone),
        cmocka_unit_test(f5_tokens_are_disjoint_whatever_the_reason_says),
        cmocka_unit_test(every_agent_line_carries_a_state_word),
        cmocka_unit_test(nagios_gets_code_word_and_performance_data),
        cmocka_unit_test(health_json_quotes_what_php_said),
        cmocka_unit_test(text_is_cut_but_its_length_goes_on),
        cmocka_unit_test(json_and_labels_are_escaped),
        cmocka_unit_test(clean_text_never_splits_a_character),
    };
    return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
