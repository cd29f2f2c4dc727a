/*
 * One timer looks at all pools together: a dump of the kernel's listening sockets, one read of the master's children, the
 * board's words, and seldom FastCGI. See sampler.h.
 */
#define _GNU_SOURCE
#include "sampler_parts.h"

#include "scripts.h"

#include <stdlib.h>
#include <string.h>

enum { BURN_LOOK_MS = 1000 };

void sampler_retarget(struct sampler *s)
{
    sampler_locate(s);
    workers_forget(&s->workers);
    sampler_hurry(s);
}

static void take_kernel(const struct sampler *s, struct pool *p)
{
    struct sample *m = &p->sample;
    bool before = m->listening == LISTEN_PRESENT;
    p->seen_listening |= p->kernel.listening;
    /* with a master of our own host a missing LISTEN is one; else it may be in another network namespace */
    bool sure = s->in->master_pid || p->seen_listening;
    m->listening = !p->local  ? LISTEN_UNKNOWN
        : p->kernel.listening ? LISTEN_PRESENT
        : sure                ? LISTEN_ABSENT
                              : LISTEN_UNKNOWN;
    m->queue_known = p->kernel.listening;
    m->queue = p->kernel.queue;
    m->queue_max = p->kernel.queue_max;
    if (m->listening == LISTEN_PRESENT && !before) {
        m->ping = PING_NONE;
        m->ping_failures = 0;
        p->ping_due_ms = 0;
        p->counting = false;
        scripts_forget(p);
    }
    /* FPM's status page counts better, but while no worker is idle nobody asks for it, and the last one is of other times */
    bool page = p->page_ms && s->loop->now_ms - p->page_ms <= STATUS_FRESH_MS && m->queue == 0;
    if (!s->board->map && p->kernel.listening && !page && p->config->max_children > 0) {
        bool asks = p->flight && !flight_is_script(p->flight_kind); /* a script keeps its worker really busy */
        m->active = p->kernel.connected - (asks && p->kernel.connected > 0);
        m->total = m->active > (uint32_t)p->config->max_children ? m->active : (uint32_t)p->config->max_children;
        m->workers_known = true;
    }
}

bool sampler_board_fits(const struct instance *in, const struct board *b)
{
    return b->map && board_header(b)->generation == (uint32_t)in->config->generation &&
        board_pool_count(b) == in->pool_count;
}

/* Workers count our scripts like any request: from its start, so one in flight too. The result never falls. */
static uint64_t without_own(struct pool *p, uint64_t counted)
{
    if (counted < p->board_requests) { /* laid out anew */
        p->script.requests = p->sample.requests = 0;
        p->counting = false;
    }
    p->board_requests = counted;
    uint64_t own = p->script.requests + (p->flight && flight_is_script(p->flight_kind));
    uint64_t others = counted > own ? counted - own : 0;
    return others > p->sample.requests ? others : p->sample.requests;
}

static void take_board(const struct sampler *s, struct pool *p)
{
    struct sample *m = &p->sample;
    uint32_t slots;
    struct board_pool *part = board_pool(s->board, p->index, &slots);
    struct board_pool_info *info = board_info(s->board, p->index);
    if (!part || !info) {
        return;
    }
    uint32_t hold = part->hold;
    m->hold = hold <= BOARD_HOLD_UNREADY ? (enum board_hold)hold : BOARD_HOLD_NONE;
    board_text_get(&part->hold_reason, m->hold_reason);
    m->drain = info->drain;
    m->maintenance = info->maintenance;
    board_text_get(&info->control_reason, m->control_reason);
    uint64_t counted;
    m->active = board_pool_active(part, slots, &counted);
    m->requests = without_own(p, counted);
    m->requests_known = true;
    if (!s->workers.known) {
        m->total = m->active > p->policy.max_children ? m->active : p->policy.max_children;
    }
    m->workers_known = true;
}

static void finish_sample(const struct sampler *s, struct pool *p)
{
    struct sample *m = &p->sample;
    m->master_gone = s->in->master_gone;
    m->stopping = s->in->stopping;
    if (m->active || m->queue || m->requests != p->busy_requests) {
        p->busy_ms = s->loop->now_ms;
        p->busy_requests = m->requests;
    }
}

void sampler_finish_look(struct sampler *s, struct pool *pool)
{
    if (pool) {
        finish_sample(s, pool);
    } else {
        for (size_t i = 0; i < s->in->pool_count; i++) {
            finish_sample(s, s->in->pools[i]);
        }
    }
    s->looked(s->context, pool);
}

void sampler_look_at_board(struct sampler *s)
{
    for (size_t i = 0; sampler_board_fits(s->in, s->board) && i < s->in->pool_count; i++) {
        take_board(s, s->in->pools[i]);
    }
    sampler_finish_look(s, NULL);
}

/* Looks at the workers one by one only where requests wait for longer than one look. */
static void look_for_stuck(struct sampler *s, struct pool *p, bool window_over)
{
    struct sample *m = &p->sample;
    bool waits = m->queue_known && m->queue > 0;
    if (waits && p->waited) {
        workers_look(&s->workers, p, window_over, &m->all_stopped, &m->all_burning);
        m->burnt_ms = s->loop->now_ms - s->window_began_ms;
    } else {
        m->all_stopped = m->all_burning = false;
    }
    p->waited = waits;
}

/*
 * Just often enough for the promises; seldom while there are no requests at all. Very many pools are looked at less often,
 * but while requests wait in one of them.
 */
static int64_t look_every_ms(const struct sampler *s)
{
    if (s->loop->now_ms - instance_busy_ms(s->in) >= SAMPLE_QUIET_AFTER_MS) {
        return SAMPLE_SELDOM_MS;
    }
    int64_t turn_ms = (int64_t)s->in->pool_count * SAMPLE_SHARE_US / 1000;
    for (size_t i = 0; turn_ms > SAMPLE_MS && i < s->in->pool_count; i++) {
        if (s->in->pools[i]->waited) {
            turn_ms = SAMPLE_MS;
        }
    }
    return turn_ms < SAMPLE_MS ? SAMPLE_MS : turn_ms > SAMPLE_SELDOM_MS ? SAMPLE_SELDOM_MS : turn_ms;
}

/* Often while something is in the making. */
static int64_t next_look_ms(const struct sampler *s)
{
    int64_t since_ms = s->loop->now_ms - s->hurried_ms;
    bool draining = s->in->stopping, young = false;
    for (size_t i = 0; i < s->in->pool_count; i++) {
        const struct pool *p = s->in->pools[i];
        draining |= p->drain.phase == DRAIN_TELLING || p->drain.phase == DRAIN_SETTLING;
        young |= (!p->history.served || (p->policy.warmup && !p->history.warm)) && p->config->enabled;
    }
    if (draining) {
        return SAMPLE_DRAIN_MS;
    }
    if (!young || s->in->master_gone) {
        return look_every_ms(s);
    }
    int64_t slower_ms = since_ms < SAMPLE_FIRST_FOR_MS ? SAMPLE_FIRST_MS : since_ms / 200;
    return slower_ms < SAMPLE_MS ? slower_ms : SAMPLE_MS;
}

static void on_tick(struct loop_timer *timer)
{
    struct sampler *s = container_of(timer, struct sampler, tick);
    struct instance *in = s->in;
    int64_t now_ms = s->loop->now_ms;
    bool complete = sampler_ask_kernel(s), window_over = now_ms - s->window_began_ms >= BURN_LOOK_MS;
    bool fits = sampler_board_fits(in, s->board);
    workers_scan(&s->workers, in);
    for (size_t i = 0; i < in->pool_count; i++) {
        struct pool *p = in->pools[i];
        if (complete) {
            take_kernel(s, p);
        }
        if (s->workers.known) {
            p->sample.total = p->kernel.workers;
        }
        if (fits) {
            take_board(s, p);
        }
        look_for_stuck(s, p, window_over);
        scripts_check_late(p, now_ms);
    }
    s->window_began_ms = window_over ? now_ms : s->window_began_ms;
    in->sampled_ms = now_ms;
    sampler_finish_look(s, NULL);
    sampler_ask_fastcgi(s);
    loop_set(s->loop, &s->tick, now_ms + next_look_ms(s));
}

void sampler_hurry(struct sampler *s)
{
    s->hurried_ms = s->loop->now_ms;
    loop_set(s->loop, &s->tick, s->loop->now_ms);
}

void sampler_release(struct sampler *s, struct pool *p)
{
    if (p->flight) {
        flight_cancel(p->flight);
        sampler_flight_over(s, p);
    }
}

struct sampler *sampler_create(
    struct loop *loop, struct instance *in, struct board *board, sampler_looked *looked, void *context)
{
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct sampler){
            .loop = loop, .in = in, .board = board, .looked = looked, .context = context, .diag = diag_open()};
        s->tick.fire = on_tick;
        loop->first = &s->tick; /* no answer and no heartbeat of before */
    }
    return s;
}

void sampler_destroy(struct sampler *s)
{
    for (size_t i = 0; i < s->in->pool_count; i++) {
        sampler_release(s, s->in->pools[i]);
    }
    loop_clear(s->loop, &s->tick);
    s->loop->first = NULL;
    workers_forget(&s->workers);
    free(s->by_listen);
    diag_close(&s->diag);
    free(s);
}
