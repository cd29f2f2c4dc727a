/* What FPM itself says: pings, its status page, scripts. Seldom, one at a time for each pool, and never while somebody waits. */
#include "sampler_parts.h"

#include "cgi.h"
#include "flight.h"
#include "fpm_status.h"
#include "scripts.h"
#include "writer.h"

#include <stdio.h>

enum { ANSWER_LEAST = 100, ANSWER_FAILED = 500 /* HTTP statuses */ };

static uint64_t finished(const struct sample *m)
{
    return m->requests > m->active ? m->requests - m->active : 0;
}

/* Where the kernel says that the pool listens, a ping proves little more: very many pools take longer turns. */
static int64_t ping_every_ms(const struct sampler *s, const struct pool *p)
{
    int64_t turn_ms = (int64_t)s->in->pool_count * PING_SHARE_MS;
    return p->sample.listening == LISTEN_PRESENT && turn_ms > PING_EVERY_MS ? turn_ms : PING_EVERY_MS;
}

/* In groups, one after another all through the turn: the answers of all at once would come too late for the looks, and each wake us. */
static int64_t next_ping_ms(const struct sampler *s, const struct pool *p)
{
    int64_t every_ms = ping_every_ms(s, p);
    size_t group = p->index / PING_TOGETHER, groups = (s->in->pool_count - 1) / PING_TOGETHER + 1;
    return loop_next_turn_ms(s->loop, every_ms, every_ms * (int64_t)group / (int64_t)groups);
}

void sampler_flight_over(struct sampler *s, struct pool *p)
{
    p->flight = NULL;
    s->flights -= !flight_is_script(p->flight_kind);
    s->doubtful -= p->doubted;
}

/* What is no CGI, or says that it failed, came whole and proves nothing all the same; `why` is then the error. */
static struct flight_result judge_answer(const struct flight_result *r, char why[static BOARD_TEXT_BYTES])
{
    char line[BOARD_TEXT_BYTES];
    int status = r->result == PING_GOOD ? cgi_parse(r->output, line, sizeof line) : 0;
    if (r->result != PING_GOOD || (status >= ANSWER_LEAST && status < ANSWER_FAILED)) {
        return *r;
    }
    if (status < ANSWER_LEAST) {
        snprintf(why, BOARD_TEXT_BYTES, "FastCGI: the answer is no CGI");
    } else {
        snprintf(why, BOARD_TEXT_BYTES, "FastCGI: answers %d", status);
    }
    return (struct flight_result){PING_BAD, why, r->output};
}

static void on_flight(void *context, const struct flight_result *landed)
{
    struct pool *p = context;
    struct sampler *s = p->sampler;
    struct sample *m = &p->sample;
    sampler_flight_over(s, p);
    if (flight_is_script(p->flight_kind)) {
        scripts_landed(p, landed, s->in->config->probe_interval_ms, s->loop->now_ms);
        sampler_finish_look(s, p);
        return;
    }
    char why[BOARD_TEXT_BYTES];
    struct flight_result judged = judge_answer(landed, why), *r = &judged;
    struct fpm_status status;
    bool page = p->config->status_path[0] && r->result == PING_GOOD && fpm_status_parse(r->output, &status);
    if (r->result == PING_BAD && !verdict_may_ping(m)) {
        /* it got in behind requests that came at the same moment: says nothing */
        p->ping_due_ms = s->loop->now_ms + PING_RETRY_MS;
        return;
    }
    m->ping = r->result;
    if (r->result == PING_GOOD) {
        m->ping_failures = 0;
        m->ping_error[0] = '\0';
        p->ping_due_ms = p->config->status_path[0] ? s->loop->now_ms + STATUS_EVERY_MS : next_ping_ms(s, p);
        p->ping_finished = finished(m);
    } else {
        p->ping_due_ms = s->loop->now_ms + flight_pause_ms(m->ping_failures++);
        text_clean(m->ping_error, sizeof m->ping_error, r->error);
        p->ever.unanswered++;
        if (r->result == PING_REFUSED) {
            scripts_forget(p);
        }
    }
    if (page) {
        m->workers_known = m->requests_known = true;
        m->total = status.total;
        /* without a socket of its own one of the pool's workers wrote the page, and counts that as a request */
        bool beside = p->config->status_listen[0];
        m->active = status.active - (!beside && status.active > 0);
        p->status_requests += !beside;
        p->page_ms = s->loop->now_ms;
        p->ever.slow_known = status.slow_known;
        p->ever.slow = status.slow;
        m->requests = status.accepted > p->status_requests ? status.accepted - p->status_requests : 0;
        if (!m->queue_known && address_is_unix(&p->address) == false) {
            m->queue_known = true;
            m->queue = status.queue;
            m->queue_max = status.queue_max;
        }
    }
    sampler_finish_look(s, p);
}

/*
 * The first good answer is asked for as soon as somebody could give it. After that, requests that finish prove more than a
 * ping would and cost FPM nothing; only a pool that stands idle is asked, seldom. While no worker is idle they are the only
 * proof: a helper that starts in the midst of a rush must not call the pool cold.
 */
static bool due_for_ping(const struct sampler *s, struct pool *p)
{
    int64_t now_ms = s->loop->now_ms;
    struct sample *m = &p->sample;
    bool counts = m->requests_known && !p->config->status_path[0];
    if (counts && !p->counting) {
        p->ping_finished = finished(m);
        p->counting = true;
    }
    if (p->flight || !p->address_known || now_ms < p->ping_due_ms || m->listening == LISTEN_ABSENT || m->master_gone) {
        return false;
    }
    if (counts && finished(m) > p->ping_finished && (p->history.served || !verdict_may_ping(m))) {
        p->ping_finished = finished(m);
        p->ping_due_ms = next_ping_ms(s, p);
        m->ping = PING_GOOD;
        m->ping_failures = 0;
        return false;
    }
    if (p->disallowed && !p->config->status_listen[0]) {
        m->ping = PING_FORBIDDEN;
        return false;
    }
    bool asleep = p->history.served && m->workers_known && m->total == 0; /* ondemand: a ping would only wake it */
    return (verdict_may_ping(m) && !asleep) || p->config->status_listen[0];
}

static void send_flight(struct sampler *s, struct pool *p, enum flight_kind kind)
{
    const struct pool_config *c = p->config;
    const char *path = kind == FLIGHT_STATUS ? c->status_path
        : kind == FLIGHT_WARMUP              ? c->warmup
        : kind == FLIGHT_PROBE               ? c->probe
                                             : "/svcreg-ping";
    p->sampler = s;
    p->flight_kind = kind;
    p->flight = flight_start(s->loop, kind == FLIGHT_STATUS ? &p->status_address : &p->address, kind, path,
        flight_is_script(kind) ? SCRIPT_HELD_MS : PING_TIMEOUT_MS, on_flight, p);
    bool counts = p->flight && !flight_is_script(kind); /* a script may hang for minutes, and is one a pool as well */
    p->doubted = counts && p->sample.ping_failures > 0;
    s->flights += counts;
    s->doubtful += p->doubted;
}

static void ask_pool(struct sampler *s, struct pool *p)
{
    bool crowded = p->sample.ping_failures > 0 && s->doubtful >= FLIGHTS_DOUBTFUL_MAX;
    if (!crowded && due_for_ping(s, p)) {
        send_flight(s, p, p->config->status_path[0] ? FLIGHT_STATUS : FLIGHT_PING);
    } else if (!p->flight && p->address_known) {
        enum flight_kind script = scripts_due(p, s->loop->now_ms);
        if (script != FLIGHT_PING) {
            send_flight(s, p, script);
            scripts_started(p, s->loop->now_ms);
        }
    }
}

/* In turn, and with room kept for who did not fail: however many hang, the others are asked. */
void sampler_ask_fastcgi(struct sampler *s)
{
    for (size_t i = 0; i < s->in->pool_count && s->flights < FLIGHTS_MAX; i++) {
        s->turn = (s->turn + 1) % s->in->pool_count;
        ask_pool(s, s->in->pools[s->turn]);
    }
}
