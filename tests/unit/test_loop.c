/* The loop: in which order a turn serves, after the process stood still too. */
#include "unit.h"

#include "loop.h"

#include <unistd.h>

static struct loop loop;
static char served[8];

static void note(char what)
{
    served[strlen(served)] = what;
}

static void on_look(struct loop_timer *timer)
{
    (void)timer;
    note('l');
}

static void on_beat(struct loop_timer *timer)
{
    (void)timer;
    note('b');
}

static void on_readable(struct loop_io *io, uint32_t events)
{
    (void)events;
    note('r');
    loop_remove(&loop, io);
}

/* One turn with a readable fd and two timers that are overdue by so much; what it served, in order. */
static const char *turn_after(int64_t overdue_ms, struct loop_timer *look, struct loop_timer *beat)
{
    int ends[2];
    memset(served, 0, sizeof served);
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct loop_io io = {ends[0], on_readable};
    assert_int_equal(loop_add(&loop, &io, EPOLLIN), 0);
    int64_t now_ms = loop_clock_ms();
    loop_set(&loop, beat, now_ms - overdue_ms - 1);
    if (look) {
        loop_set(&loop, look, now_ms - overdue_ms);
        loop.first = look;
    }
    assert_int_equal(loop_turn(&loop), 0);
    loop_fini(&loop);
    close(ends[0]);
    close(ends[1]);
    return served;
}

static void whoever_asks_is_served_before_timers(void **state)
{
    struct loop_timer look = {.fire = on_look}, beat = {.fire = on_beat};
    (void)state;
    assert_string_equal(turn_after(0, &look, &beat), "rbl");
}

static void after_a_standstill_there_is_a_look_before_anybody_is_served(void **state)
{
    struct loop_timer look = {.fire = on_look}, beat = {.fire = on_beat};
    (void)state;
    assert_string_equal(turn_after(STANDSTILL_MS, &look, &beat), "lrb");
}

static void a_standstill_without_anything_to_look_at_changes_nothing(void **state)
{
    struct loop_timer beat = {.fire = on_beat};
    (void)state;
    assert_string_equal(turn_after(STANDSTILL_MS, NULL, &beat), "rb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_asks_is_served_before_timers),
        cmocka_unit_test(after_a_standstill_there_is_a_look_before_anybody_is_served),
        cmocka_unit_test(a_standstill_without_anything_to_look_at_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
