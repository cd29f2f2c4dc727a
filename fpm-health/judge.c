/* From samples to verdicts, and from changed verdicts to everybody who must know; see helper.h. */
#include "helper.h"

#include "log.h"
#include "notify.h"

#include <string.h>
#include <time.h>

static void publish_pool(struct helper *h, const struct pool *p, bool news)
{
    struct board_pool_info *info = board_info(&h->board, p->index);
    if (!info) {
        return;
    }
    info->weight = p->verdict.weight;
    info->workers_total = p->sample.total;
    info->workers_active = p->sample.active;
    info->queue_length = p->sample.queue;
    info->queue_max = p->sample.queue_max;
    info->requests = p->sample.requests;
    info->registered = p->service && consul_registered(p->service);
    /* never published, a reload laid the board out anew, or that caught us in the middle of a write by the old layout */
    if (news || info->since_s != (uint64_t)p->since_s || info->state != p->verdict.state) {
        info->state = p->verdict.state;
        info->since_s = (uint64_t)p->since_s;
        board_text_set(&info->reason, p->verdict.reason);
    }
}

static void log_change(const struct pool *p, const struct verdict *before)
{
    const struct verdict *v = &p->verdict;
    void (*say)(const char *, ...) = v->state == BOARD_DOWN || v->state == BOARD_DEGRADED ? log_warning : log_notice;
    say("pool %s: %s -> %s%s%s", p->config->name, board_state_name(before->state), board_state_name(v->state),
        v->reason[0] ? ": " : "", v->reason);
}

static void judge_pool(struct helper *h, struct pool *p, bool fits)
{
    struct verdict before = p->verdict;
    verdict_compute(&p->policy, &p->sample, &p->history, h->loop.now_ms, &p->verdict);
    bool turned = before.state != p->verdict.state;
    bool news = turned || p->since_s == 0 || strcmp(before.reason, p->verdict.reason) != 0;
    if (turned || p->since_s == 0) {
        p->since_s = time(NULL);
    }
    if (turned) {
        p->transitions[before.state][p->verdict.state]++;
        log_change(p, &before);
    }
    if (news || before.weight != p->verdict.weight) {
        answers_pool_changed(h->answers, p);
    }
    if (p->service) {
        consul_tell(h->consul, p->service, &p->verdict);
    }
    if (fits) {
        publish_pool(h, p, news);
    }
}

/* A drain of one pool, asked for by a person: the same machine as a stop, without the stop. */
static void follow_pool_drain(struct helper *h, struct pool *p)
{
    const struct config *c = h->in.config;
    if (!p->sample.drain) {
        p->drain = (struct drain){0};
        return;
    }
    struct drain_policy policy = {c->drain.quiet_ms, c->drain.probers_ms, c->drain.timeout_ms};
    struct drain_view view = {
        .consul_told = !p->service || consul_told(p->service),
        .probers_told = probers_told(server_probers(h->server), h->loop.now_ms),
        .busy_ms = p->busy_ms,
    };
    drain_begin(&p->drain, h->loop.now_ms);
    drain_step(&p->drain, &policy, &view, h->loop.now_ms);
}

/* All pools' spans end together, at a look: there is no timer of their own. */
static bool span_is_over(struct instance *in, int64_t now_ms)
{
    bool first = in->trend_due_ms == 0, over = !first && now_ms >= in->trend_due_ms;
    if (first || now_ms >= in->trend_due_ms + TREND_SPAN_MS) {
        in->trend_due_ms = now_ms + TREND_SPAN_MS;
    } else if (over) {
        in->trend_due_ms += TREND_SPAN_MS;
    }
    return over;
}

/* What the common exporter reports since FPM's start, here since ours. */
static void follow_extremes(struct pool *p)
{
    const struct sample *s = &p->sample;
    bool at_limit = s->workers_known && p->policy.max_children && s->total >= p->policy.max_children;
    bool varies = strcmp(p->config->pm, "dynamic") == 0 || strcmp(p->config->pm, "ondemand") == 0;
    p->ever.limit_reached += varies && at_limit && !p->ever.at_limit;
    p->ever.at_limit = at_limit;
    if (s->workers_known && s->active > p->ever.active) {
        p->ever.active = s->active;
    }
    if (s->queue_known && s->queue > p->ever.queue) {
        p->ever.queue = s->queue;
    }
}

static void follow_trend(struct pool *p, bool span_over)
{
    trend_note(&p->trend, &p->sample, p->verdict.state);
    if (span_over) {
        trend_turn(&p->trend, &p->sample);
    }
}

static void follow_pool(struct helper *h, struct pool *p, bool fits, bool span_over)
{
    judge_pool(h, p, fits);
    follow_pool_drain(h, p);
    follow_extremes(p);
    follow_trend(p, span_over);
}

void helper_judge(void *helper, struct pool *pool)
{
    struct helper *h = helper;
    bool fits = sampler_board_fits(&h->in, &h->board), span_over = !pool && span_is_over(&h->in, h->loop.now_ms);
    if (pool) {
        follow_pool(h, pool, fits, span_over);
    } else {
        for (size_t i = 0; i < h->in.pool_count; i++) {
            follow_pool(h, h->in.pools[i], fits, span_over);
        }
    }
    if (helper_has_board(h)) {
        board_header(&h->board)->looks++;
    }
    answers_sampled(h->answers);
    notify_status(&h->in);
    helper_step_stop(h);
}

void helper_publish_consul(void *helper)
{
    struct helper *h = helper;
    if (helper_has_board(h)) {
        struct board_header *header = board_header(&h->board);
        header->consul_state = h->in.consul_state;
        board_text_set(&header->consul_error, h->in.consul_error);
        for (size_t i = 0; sampler_board_fits(&h->in, &h->board) && i < h->in.pool_count; i++) {
            struct board_pool_info *info = board_info(&h->board, i);
            const struct consul_service *service = h->in.pools[i]->service;
            if (info) {
                info->registered = service && consul_registered(service);
            }
        }
    }
    notify_status(&h->in);
    if (h->in.stopping || h->leaving || h->retired) { /* not from here: the caller is in the middle of its own list */
        loop_set(&h->loop, &h->step, h->loop.now_ms);
    }
}

void helper_note_error(struct helper *h, const char *text)
{
    text_clean(h->in.error, sizeof h->in.error, text);
    if (helper_has_board(h)) {
        board_text_set(&board_header(&h->board)->helper_error, h->in.error);
    }
}
