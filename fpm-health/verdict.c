/* The verdict; see verdict.h. */
#define _GNU_SOURCE
#include "verdict.h"

#include "bounds.h"
#include "writer.h"

#include <stdio.h>

/*
 * More requests wait than there are idle workers to take them. A worker that FPM counts as idle need not be: until its last client
 * closes the connection, it takes no other.
 */
static bool crowded(const struct sample *s)
{
    uint32_t idle = s->workers_known && s->active < s->total ? s->total - s->active : 0;
    return s->queue_known && s->queue > idle;
}

bool verdict_may_ping(const struct sample *s)
{
    return s->listening != LISTEN_ABSENT && !(s->queue_known && s->queue > 0) &&
        !(s->workers_known && s->total > 0 && s->active >= s->total);
}

/*
 * Saturated after a while of crowd, and no longer so after a while without: nothing flaps at the edge. A crowd that is met
 * after a time in which nobody looked has gathered in it.
 */
static void follow_crowd(const struct sample *s, struct history *h, int64_t now_ms)
{
    bool late = h->looked_ms && now_ms - h->looked_ms >= STANDSTILL_MS;
    h->looked_ms = now_ms;
    if (crowded(s)) {
        h->relieved_ms = 0;
        h->crowded_ms = h->crowded_ms ? h->crowded_ms : now_ms;
        h->saturated |= late || now_ms - h->crowded_ms >= SATURATED_AFTER_MS;
    } else {
        h->crowded_ms = 0;
        h->relieved_ms = h->relieved_ms ? h->relieved_ms : now_ms;
        h->saturated &= now_ms - h->relieved_ms < SATURATED_CLEAR_MS;
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* All that is burnt without progress counts while somebody waits, also what went before the look that saw it. */
static void follow_progress(const struct sample *s, struct history *h, int64_t now_ms)
{
    /* the queue gets shorter only when a worker takes one out of it, be it that the client has gone */
    bool moved = (s->requests_known && s->requests != h->requests) || (s->queue_known && s->queue < h->queue);
    h->requests = s->requests;
    h->queue = s->queue_known ? s->queue : 0;
    h->moved_ms = moved ? now_ms : h->moved_ms;
    if (moved || !s->all_burning || !crowded(s)) {
        h->burning_ms = 0;
    } else if (!h->burning_ms) {
        h->burning_ms = later(now_ms - s->burnt_ms, later(h->crowded_ms, h->moved_ms));
    }
}

static bool answered(const struct sample *s)
{
    bool stand_in = s->ping == PING_FORBIDDEN && (!s->workers_known || s->active < s->total);
    return s->ping == PING_GOOD || stand_in;
}

static void follow_socket(const struct sample *s, struct history *h)
{
    if (s->listening == LISTEN_ABSENT || s->ping == PING_REFUSED) {
        h->served = h->warm = false;
    } else if (answered(s)) {
        h->served = true;
        h->warm |= s->warmup.result == SCRIPT_GOOD;
    }
    h->listened |= s->listening == LISTEN_PRESENT || h->served;
}

/* Idle capacity in steps: a weight that changes with every request would wake every watcher. */
static void follow_load(const struct policy *p, const struct sample *s, struct history *h, int64_t now_ms)
{
    if (!h->weight) {
        h->weight = 100;
    }
    if (!s->workers_known || (h->weighed_ms && now_ms - h->weighed_ms < WEIGHT_EVERY_MS)) {
        return;
    }
    uint32_t room = p->max_children > s->total ? p->max_children : s->total;
    uint32_t load = room ? (s->active < room ? s->active : room) * 1000 / room : 0;
    h->load = h->weighed_ms ? (3 * h->load + load) / 4 : load;
    h->weighed_ms = now_ms;
    uint32_t exact = (1000 - h->load) / 10;
    uint32_t apart = exact > h->weight ? exact - h->weight : h->weight - exact;
    if (apart >= WEIGHT_STEP || exact >= WEIGHT_IDLE) {
        uint32_t rounded = (exact + WEIGHT_STEP / 2) / WEIGHT_STEP * WEIGHT_STEP;
        h->weight = rounded ? rounded : 1;
    }
}

static void decide(struct verdict *v, enum board_state state, uint32_t weight, const char *reason)
{
    v->state = state;
    v->weight = weight;
    text_clean(v->reason, sizeof v->reason, reason);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text[0] ? text : otherwise;
}

static bool decide_stopping(const struct sample *s, struct verdict *v)
{
    if (s->master_gone) {
        decide(v, BOARD_DOWN, 0,
            s->listening == LISTEN_PRESENT ? "FPM's master is gone, orphaned workers serve on"
                                           : "FPM's master is gone");
    } else if (s->stopping) {
        decide(v, BOARD_DRAINING, 0, "FPM is to stop");
    } else if (s->maintenance) {
        decide(v, BOARD_MAINTENANCE, 0, or_else(s->control_reason, "switched on"));
    } else if (s->drain) {
        decide(v, BOARD_DRAINING, 0, "asked for");
    } else {
        return false;
    }
    return true;
}

static bool decide_down(
    const struct policy *p, const struct sample *s, const struct history *h, int64_t now_ms, struct verdict *v)
{
    if (s->listening == LISTEN_ABSENT && h->listened) {
        decide(v, BOARD_DOWN, 0, "socket is gone");
    } else if (s->ping == PING_REFUSED && h->listened) {
        decide(v, BOARD_DOWN, 0, "connection refused");
    } else if (s->all_stopped && s->queue_known && s->queue > 0) {
        decide(v, BOARD_DOWN, 0, "stopped: requests wait and all workers are stopped");
    } else if (h->burning_ms && now_ms - h->burning_ms >= p->hang_timeout_ms) {
        decide(v, BOARD_DOWN, 0, "hung: requests wait and all workers burn CPU without finishing any");
    } else {
        return false;
    }
    return true;
}

static bool decide_starting(const struct policy *p, const struct sample *s, const struct history *h, struct verdict *v)
{
    if (s->hold == BOARD_HOLD_UNREADY) {
        decide(v, BOARD_STARTING, 1, or_else(s->hold_reason, "held back by svcreg_unready()"));
    } else if (!h->listened) {
        decide(v, BOARD_STARTING, 1, "not listening yet");
    } else if (!h->served) {
        decide(v, BOARD_STARTING, 1,
            s->ping_failures >= PING_FAILURES ? s->ping_error : "waiting for the first good answer");
    } else if (p->warmup && !h->warm) {
        decide(v, BOARD_STARTING, 1, s->warmup.result == SCRIPT_BAD ? s->warmup.reason : "warming up");
    } else if (p->manual && s->hold != BOARD_HOLD_READY) {
        decide(v, BOARD_STARTING, 1, "waiting for svcreg_ready()");
    } else {
        return false;
    }
    return true;
}

void verdict_compute(
    const struct policy *p, const struct sample *s, struct history *h, int64_t now_ms, struct verdict *v)
{
    follow_socket(s, h);
    follow_crowd(s, h, now_ms);
    follow_progress(s, h, now_ms);
    follow_load(p, s, h, now_ms);
    if (decide_stopping(s, v) || decide_down(p, s, h, now_ms, v) || decide_starting(p, s, h, v)) {
        return;
    }
    if (h->saturated) {
        decide(v, BOARD_DEGRADED, 1, "saturated");
    } else if (s->ping == PING_BAD && s->ping_failures >= PING_FAILURES) {
        decide(v, BOARD_DEGRADED, h->weight, s->ping_error);
    } else if (s->probe.result == SCRIPT_BAD) {
        decide(v, BOARD_DEGRADED, h->weight, s->probe.reason);
    } else {
        decide(v, BOARD_HEALTHY, h->weight, "");
    }
}

int verdict_badness(enum board_state state)
{
    static const int badness[BOARD_STATES] = {
        [BOARD_HEALTHY] = 0,
        [BOARD_DEGRADED] = 1,
        [BOARD_STARTING] = 2,
        [BOARD_DRAINING] = 3,
        [BOARD_MAINTENANCE] = 4,
        [BOARD_DOWN] = 5,
    };
    return badness[state];
}
