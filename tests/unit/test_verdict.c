/* The verdict: one table of what is seen at one moment, and the stories that need time. */
#include "unit.h"

#include "bounds.h"
#include "verdict.h"

static const struct policy policy = {.max_children = 4, .hang_timeout_ms = 10000};

/* A pool that serves, with an idle worker. */
static struct sample serving(void)
{
    return (struct sample){.listening = LISTEN_PRESENT,
        .ping = PING_GOOD,
        .workers_known = true,
        .total = 4,
        .active = 1,
        .queue_known = true,
        .queue_max = 511,
        .requests_known = true};
}

static struct sample crowded(void)
{
    struct sample s = serving();
    s.active = 4;
    s.queue = 8;
    return s;
}

static struct verdict judge(struct history *h, const struct sample *s, int64_t now_ms)
{
    struct verdict v;
    verdict_compute(&policy, s, h, now_ms, &v);
    return v;
}

static void one_look_decides_by_the_strongest_evidence(void **state)
{
    static const struct {
        const char *name;
        struct sample sample;
        bool served;
        enum board_state state;
        const char *reason; /* its beginning */
    } cases[] = {
        {"nothing seen", {0}, false, BOARD_STARTING, "not listening yet"},
        {"listening, no answer yet", {.listening = LISTEN_PRESENT}, false, BOARD_STARTING,
            "waiting for the first good answer"},
        {"listening and answered", {.listening = LISTEN_PRESENT, .ping = PING_GOOD}, false, BOARD_HEALTHY, ""},
        {"remote and answered", {.listening = LISTEN_UNKNOWN, .ping = PING_GOOD}, false, BOARD_HEALTHY, ""},
        {"remote, refused from the start", {.ping = PING_REFUSED}, false, BOARD_STARTING, "not listening yet"},
        {"remote, refused later", {.ping = PING_REFUSED}, true, BOARD_DOWN, "connection refused"},
        {"socket gone", {.listening = LISTEN_ABSENT}, true, BOARD_DOWN, "socket is gone"},
        {"may not ask, idle worker",
            {.listening = LISTEN_PRESENT, .ping = PING_FORBIDDEN, .workers_known = true, .total = 2}, false,
            BOARD_HEALTHY, ""},
        {"may not ask, none idle",
            {.listening = LISTEN_PRESENT, .ping = PING_FORBIDDEN, .workers_known = true, .total = 2, .active = 2},
            false, BOARD_STARTING, "waiting for the first"},
        {"held back",
            {.listening = LISTEN_PRESENT, .ping = PING_GOOD, .hold = BOARD_HOLD_UNREADY, .hold_reason = "cold"}, false,
            BOARD_STARTING, "cold"},
        {"bad pings only", {.listening = LISTEN_PRESENT, .ping = PING_BAD, .ping_failures = 3, .ping_error = "garbage"},
            false, BOARD_STARTING, "garbage"},
        {"bad pings after good ones",
            {.listening = LISTEN_PRESENT, .ping = PING_BAD, .ping_failures = 3, .ping_error = "garbage"}, true,
            BOARD_DEGRADED, "garbage"},
        {"one bad ping is nothing", {.listening = LISTEN_PRESENT, .ping = PING_BAD, .ping_failures = 1}, true,
            BOARD_HEALTHY, ""},
        {"probe script fails", {.listening = LISTEN_PRESENT, .ping = PING_GOOD, .probe = {SCRIPT_BAD, "database away"}},
            true, BOARD_DEGRADED, "database away"},
        {"all stopped", {.listening = LISTEN_PRESENT, .queue_known = true, .queue = 1, .all_stopped = true}, true,
            BOARD_DOWN, "stopped"},
        {"stopped, but nobody waits", {.listening = LISTEN_PRESENT, .queue_known = true, .all_stopped = true}, true,
            BOARD_HEALTHY, ""},
        {"master gone, orphans", {.master_gone = true, .listening = LISTEN_PRESENT}, true, BOARD_DOWN,
            "FPM's master is gone, orphaned"},
        {"master gone, all gone", {.master_gone = true, .stopping = true, .listening = LISTEN_ABSENT}, true, BOARD_DOWN,
            "FPM's master is gone"},
        {"stopping", {.stopping = true, .maintenance = true, .listening = LISTEN_PRESENT}, true, BOARD_DRAINING,
            "FPM is to stop"},
        {"maintenance", {.maintenance = true, .drain = true, .control_reason = "disk"}, true, BOARD_MAINTENANCE,
            "disk"},
        {"drained by hand", {.drain = true, .listening = LISTEN_ABSENT}, true, BOARD_DRAINING, "asked for"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct history h = {.served = cases[i].served, .listened = cases[i].served};
        struct verdict v = judge(&h, &cases[i].sample, 1000);
        print_message("  %s\n", cases[i].name);
        assert_string_equal(board_state_name(v.state), board_state_name(cases[i].state));
        assert_memory_equal(v.reason, cases[i].reason, strlen(cases[i].reason));
        assert_int_equal(v.reason[0] == '\0', cases[i].reason[0] == '\0');
        bool zero = v.state == BOARD_DRAINING || v.state == BOARD_MAINTENANCE || v.state == BOARD_DOWN;
        assert_int_equal(v.weight == 0, zero);
    }
}

static void manual_waits_for_ready_and_nothing_else(void **state)
{
    const struct policy manual = {.manual = true, .max_children = 4, .hang_timeout_ms = 10000};
    struct sample s = serving();
    struct history h = {0};
    struct verdict v;
    (void)state;
    verdict_compute(&manual, &s, &h, 0, &v);
    assert_int_equal(v.state, BOARD_STARTING);
    s.hold = BOARD_HOLD_READY;
    verdict_compute(&manual, &s, &h, 1, &v);
    assert_int_equal(v.state, BOARD_HEALTHY);
}

static void warm_is_what_the_script_said_since_the_socket_came(void **state)
{
    const struct policy warmed = {.warmup = true, .max_children = 4, .hang_timeout_ms = 10000};
    struct sample s = serving(), gone = {.listening = LISTEN_ABSENT};
    struct history h = {0};
    struct verdict v;
    (void)state;
    verdict_compute(&warmed, &s, &h, 0, &v);
    assert_int_equal(v.state, BOARD_STARTING);
    assert_string_equal(v.reason, "warming up");
    s.warmup = (struct script_news){SCRIPT_BAD, "no cache yet"};
    verdict_compute(&warmed, &s, &h, 1, &v);
    assert_int_equal(v.state, BOARD_STARTING);
    assert_string_equal(v.reason, "no cache yet");
    s.warmup = (struct script_news){.result = SCRIPT_GOOD};
    verdict_compute(&warmed, &s, &h, 2, &v);
    assert_int_equal(v.state, BOARD_HEALTHY);
    verdict_compute(&warmed, &gone, &h, 3, &v);
    s.warmup = (struct script_news){0};
    verdict_compute(&warmed, &s, &h, 4, &v);
    assert_int_equal(v.state, BOARD_STARTING);
}

static void a_moment_of_crowd_is_no_saturation(void **state)
{
    struct history h = {0};
    struct sample calm = serving(), full = crowded();
    (void)state;
    assert_int_equal(judge(&h, &calm, 1000).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &full, 1250).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &full, 1250 + SATURATED_AFTER_MS - 1).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &full, 1250 + SATURATED_AFTER_MS).state, BOARD_DEGRADED);
}

static void saturation_ends_only_after_a_while_of_calm(void **state)
{
    struct history h = {.saturated = true, .served = true, .listened = true};
    struct sample calm = serving(), full = crowded();
    (void)state;
    assert_int_equal(judge(&h, &calm, 1000).state, BOARD_DEGRADED);
    assert_int_equal(judge(&h, &full, 1300).state, BOARD_DEGRADED);
    assert_int_equal(judge(&h, &calm, 1400).state, BOARD_DEGRADED);
    assert_int_equal(judge(&h, &calm, 1400 + SATURATED_CLEAR_MS).state, BOARD_HEALTHY);
}

static void a_queue_before_idle_workers_is_no_crowd(void **state)
{
    struct history h = {0};
    struct sample s = serving();
    (void)state;
    s.queue = 3;
    for (int64_t t = 1000; t < 5000; t += 250) {
        assert_int_equal(judge(&h, &s, t).state, BOARD_HEALTHY);
    }
}

static void more_requests_than_idle_workers_are_a_crowd(void **state)
{
    struct history h = {0};
    struct sample s = serving();
    (void)state;
    s.queue = 4;
    assert_int_equal(judge(&h, &s, 1000).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &s, 1000 + SATURATED_AFTER_MS).state, BOARD_DEGRADED);
}

static void hung_needs_the_whole_timeout_of_burning_without_progress(void **state)
{
    struct history h = {0};
    struct sample s = crowded();
    (void)state;
    s.all_burning = true;
    int64_t t = 1000;
    for (; t < 1000 + policy.hang_timeout_ms; t += 250) {
        assert_int_not_equal(judge(&h, &s, t).state, BOARD_DOWN);
    }
    struct verdict v = judge(&h, &s, t);
    assert_int_equal(v.state, BOARD_DOWN);
    assert_memory_equal(v.reason, "hung", 4);
    s.requests++; /* one got through */
    assert_int_equal(judge(&h, &s, t + 250).state, BOARD_DEGRADED);
}

static void a_queue_that_gets_shorter_is_progress(void **state)
{
    struct history h = {0};
    struct sample s = crowded();
    (void)state;
    s.all_burning = true;
    s.requests_known = false;
    s.queue = 1000;
    for (int64_t t = 1000; t < 1000 + 3 * policy.hang_timeout_ms; t += policy.hang_timeout_ms / 2) {
        s.queue--;
        assert_int_not_equal(judge(&h, &s, t).state, BOARD_DOWN);
    }
}

static void what_burned_before_the_look_counts_while_somebody_waited(void **state)
{
    struct history h = {0};
    struct sample s = crowded();
    (void)state;
    assert_int_not_equal(judge(&h, &s, 1000).state, BOARD_DOWN);
    s.all_burning = true;
    s.burnt_ms = 1000;
    assert_int_not_equal(judge(&h, &s, 1400).state, BOARD_DOWN); /* 400 ms of waiting, whatever went before */
    assert_int_not_equal(judge(&h, &s, 1000 + policy.hang_timeout_ms - 1).state, BOARD_DOWN);
    assert_int_equal(judge(&h, &s, 1000 + policy.hang_timeout_ms).state, BOARD_DOWN);
}

static void workers_asleep_are_never_down(void **state)
{
    struct history h = {0};
    struct sample s = crowded();
    (void)state;
    for (int64_t t = 0; t < 100 * policy.hang_timeout_ms; t += 1000) {
        assert_int_not_equal(judge(&h, &s, t).state, BOARD_DOWN);
    }
}

static void a_socket_that_comes_back_is_proven_anew(void **state)
{
    struct history h = {0};
    struct sample s = serving(), gone = {.listening = LISTEN_ABSENT};
    (void)state;
    assert_int_equal(judge(&h, &s, 1).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &gone, 2).state, BOARD_DOWN);
    s.ping = PING_NONE;
    assert_int_equal(judge(&h, &s, 3).state, BOARD_STARTING);
    s.ping = PING_GOOD;
    assert_int_equal(judge(&h, &s, 4).state, BOARD_HEALTHY);
}

static void a_crowd_met_after_a_time_without_a_look_is_saturation_at_once(void **state)
{
    struct history h = {0};
    struct sample calm = serving(), full = crowded();
    (void)state;
    assert_int_equal(judge(&h, &calm, 1000).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &full, 999 + STANDSTILL_MS).state, BOARD_HEALTHY);
    assert_int_equal(judge(&h, &calm, 1000 + STANDSTILL_MS).state, BOARD_HEALTHY);
    assert_string_equal(judge(&h, &full, 1000 + 2 * STANDSTILL_MS).reason, "saturated");
    assert_int_equal(judge(&h, &calm, 1001 + 2 * STANDSTILL_MS).state, BOARD_DEGRADED);
    assert_int_equal(judge(&h, &calm, 1001 + 2 * STANDSTILL_MS + SATURATED_CLEAR_MS).state, BOARD_HEALTHY);
}

static void weight_follows_idle_capacity_in_steps(void **state)
{
    struct history h = {0};
    struct sample s = serving();
    (void)state;
    s.active = 0;
    assert_int_equal(judge(&h, &s, 0).weight, 100);
    s.active = 2;
    uint32_t last = 100;
    for (int64_t t = WEIGHT_EVERY_MS; t < 40 * WEIGHT_EVERY_MS; t += WEIGHT_EVERY_MS) {
        uint32_t weight = judge(&h, &s, t).weight;
        assert_true(weight <= last && weight % WEIGHT_STEP == 0);
        last = weight;
    }
    assert_true(last >= 50 && last <= 60);
    s.active = 4;
    for (int64_t t = 40 * WEIGHT_EVERY_MS; t < 80 * WEIGHT_EVERY_MS; t += WEIGHT_EVERY_MS) {
        last = judge(&h, &s, t).weight;
    }
    assert_true(last >= 1 && last <= 10);
    s.active = 0;
    int64_t idle = 80 * WEIGHT_EVERY_MS, t = idle;
    while (judge(&h, &s, t).weight < 100) {
        t += WEIGHT_EVERY_MS;
        assert_true(t - idle <= 4000);
    }
}

static void pings_are_sent_only_when_nobody_would_wait_for_them(void **state)
{
    struct sample s = serving();
    (void)state;
    assert_true(verdict_may_ping(&s));
    s.queue = 1;
    assert_false(verdict_may_ping(&s));
    s = crowded();
    s.queue = 0;
    assert_false(verdict_may_ping(&s));
    s = (struct sample){.listening = LISTEN_ABSENT};
    assert_false(verdict_may_ping(&s));
    s = (struct sample){.listening = LISTEN_PRESENT, .workers_known = true}; /* ondemand: no worker yet */
    assert_true(verdict_may_ping(&s));
}

static void a_reason_is_clean_and_ends_in_time(void **state)
{
    struct history h = {0};
    struct sample s = serving();
    (void)state;
    s.hold = BOARD_HOLD_UNREADY;
    memset(s.hold_reason, 'x', sizeof s.hold_reason - 1);
    memcpy(s.hold_reason, "\n\x01\xff\xc3\xa4", 5);
    struct verdict v = judge(&h, &s, 0);
    assert_memory_equal(v.reason, "???\xc3\xa4x", 6);
    assert_true(strlen(v.reason) < sizeof v.reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_look_decides_by_the_strongest_evidence),
        cmocka_unit_test(manual_waits_for_ready_and_nothing_else),
        cmocka_unit_test(warm_is_what_the_script_said_since_the_socket_came),
        cmocka_unit_test(a_moment_of_crowd_is_no_saturation),
        cmocka_unit_test(saturation_ends_only_after_a_while_of_calm),
        cmocka_unit_test(a_queue_before_idle_workers_is_no_crowd),
        cmocka_unit_test(more_requests_than_idle_workers_are_a_crowd),
        cmocka_unit_test(hung_needs_the_whole_timeout_of_burning_without_progress),
        cmocka_unit_test(a_queue_that_gets_shorter_is_progress),
        cmocka_unit_test(what_burned_before_the_look_counts_while_somebody_waited),
        cmocka_unit_test(workers_asleep_are_never_down),
        cmocka_unit_test(a_socket_that_comes_back_is_proven_anew),
        cmocka_unit_test(a_crowd_met_after_a_time_without_a_look_is_saturation_at_once),
        cmocka_unit_test(weight_follows_idle_capacity_in_steps),
        cmocka_unit_test(pings_are_sent_only_when_nobody_would_wait_for_them),
        cmocka_unit_test(a_reason_is_clean_and_ends_in_time),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
