/* The planned stop, and the probers it waits for. */
#include "unit.h"

#include "bounds.h"
#include "drain.h"
#include "probers.h"

static const struct drain_policy policy = {.quiet_ms = 300, .probers_ms = 700, .timeout_ms = 25000};

static bool step(struct drain *d, bool consul, bool probers, int64_t busy_ms, int64_t now_ms)
{
    return drain_step(d, &policy, &(struct drain_view){consul, probers, busy_ms}, now_ms);
}

static void quiet_counts_from_consuls_acknowledgement(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 1000);
    assert_false(step(&d, false, true, 0, 1400));
    assert_int_equal(d.phase, DRAIN_TELLING);
    assert_false(step(&d, true, true, 0, 1500));
    assert_false(step(&d, true, true, 0, 1799));
    assert_true(step(&d, true, true, 0, 1800));
    assert_int_equal(d.phase, DRAIN_QUIET);
}

static void anything_that_moves_begins_the_quiet_anew(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 0);
    assert_false(step(&d, true, true, 0, 10));
    assert_false(step(&d, true, true, 290, 310));
    assert_false(step(&d, true, true, 290, 589));
    assert_true(step(&d, true, true, 290, 590));
}

static void a_consul_that_does_not_answer_is_waited_for_a_second(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 0);
    assert_false(step(&d, false, true, 0, DRAIN_ACK_MS - 1));
    assert_int_equal(d.phase, DRAIN_TELLING);
    assert_false(step(&d, false, true, 0, DRAIN_ACK_MS));
    assert_true(step(&d, false, true, 0, DRAIN_ACK_MS + 300));
}

static void probers_are_waited_for_but_not_for_ever(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 0);
    assert_false(step(&d, true, false, 0, 1));
    assert_false(step(&d, true, false, 0, 699));
    assert_true(step(&d, true, false, 0, 700));
}

static void the_deadline_ends_what_never_gets_quiet(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 0);
    for (int64_t t = 0; t < 25000; t += 25) {
        assert_false(step(&d, true, true, t, t));
    }
    assert_true(step(&d, true, true, 25000, 25000));
    assert_int_equal(d.phase, DRAIN_OVERDUE);
}

static void a_drain_that_is_asked_for_twice_is_one(void **state)
{
    struct drain d = {0};
    (void)state;
    drain_begin(&d, 100);
    drain_begin(&d, 900);
    assert_int_equal(d.asked_ms, 100);
}

static void probers_are_told_once_their_last_answer_was_drain(void **state)
{
    static struct probers p;
    (void)state;
    assert_true(probers_told(&p, 0));
    probers_note(&p, 77, false, 1000);
    probers_note(&p, 78, false, 1000);
    assert_false(probers_told(&p, 1001));
    probers_note(&p, 77, true, 1002);
    assert_false(probers_told(&p, 1003));
    probers_note(&p, 78, true, 1004);
    assert_true(probers_told(&p, 1005));
}

static void a_prober_unseen_for_long_is_not_waited_for(void **state)
{
    static struct probers p;
    (void)state;
    probers_note(&p, 5, false, 1000);
    assert_false(probers_told(&p, 1000 + PROBER_RECENT_MS));
    assert_true(probers_told(&p, 1001 + PROBER_RECENT_MS));
}

static void more_probers_than_places_are_survived(void **state)
{
    static struct probers p;
    (void)state;
    for (uint64_t key = 1; key < 100000; key++) {
        probers_note(&p, key, false, (int64_t)key);
    }
    assert_false(probers_told(&p, 100000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_counts_from_consuls_acknowledgement),
        cmocka_unit_test(anything_that_moves_begins_the_quiet_anew),
        cmocka_unit_test(a_consul_that_does_not_answer_is_waited_for_a_second),
        cmocka_unit_test(probers_are_waited_for_but_not_for_ever),
        cmocka_unit_test(the_deadline_ends_what_never_gets_quiet),
        cmocka_unit_test(a_drain_that_is_asked_for_twice_is_one),
        cmocka_unit_test(probers_are_told_once_their_last_answer_was_drain),
        cmocka_unit_test(a_prober_unseen_for_long_is_not_waited_for),
        cmocka_unit_test(more_probers_than_places_are_survived),
    };
    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
