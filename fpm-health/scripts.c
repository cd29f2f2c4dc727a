/* Warm-up and probe scripts; see scripts.h. */
#include "scripts.h"

#include "bounds.h"
#include "cgi.h"
#include "writer.h"

#include <stdio.h>
#include <string.h>

enum { STATUS_OK = 200 };

static const char *name_of(enum flight_kind kind)
{
    return kind == FLIGHT_WARMUP ? "warm-up" : "probe";
}

enum flight_kind scripts_due(const struct pool *p, int64_t now_ms)
{
    const struct sample *m = &p->sample;
    enum flight_kind kind = p->config->warmup[0] && !p->history.warm ? FLIGHT_WARMUP
        : p->config->probe[0]                                        ? FLIGHT_PROBE
                                                                     : FLIGHT_PING;
    bool leaving = m->master_gone || m->stopping || m->drain || m->maintenance;
    return p->history.served && !leaving && now_ms >= p->script.due_ms && verdict_may_ping(m) ? kind : FLIGHT_PING;
}

void scripts_started(struct pool *p, int64_t now_ms)
{
    p->script.late_ms = now_ms + (p->flight_kind == FLIGHT_WARMUP ? WARMUP_TIMEOUT_MS : PROBE_TIMEOUT_MS);
}

static struct script_news *news_of(struct pool *p)
{
    return p->flight_kind == FLIGHT_WARMUP ? &p->sample.warmup : &p->sample.probe;
}

static void fail(struct pool *p, const char *why)
{
    struct script_news *news = news_of(p);
    news->result = SCRIPT_BAD;
    text_clean(news->reason, sizeof news->reason, why);
}

void scripts_check_late(struct pool *p, int64_t now_ms)
{
    const struct sample *m = &p->sample;
    bool waits_in_line = m->queue_known && m->queue > 0; /* it may be ours: that says nothing of the script */
    if (p->flight && flight_is_script(p->flight_kind) && now_ms >= p->script.late_ms && !waits_in_line) {
        char why[BOARD_TEXT_BYTES];
        snprintf(why, sizeof why, "the %s script does not answer in time", name_of(p->flight_kind));
        fail(p, why);
    }
}

void scripts_landed(struct pool *p, const struct flight_result *r, int64_t probe_interval_ms, int64_t now_ms)
{
    char line[BOARD_TEXT_BYTES] = "";
    int status = r->result == PING_GOOD ? cgi_parse(r->output, line, sizeof line) : 0;
    bool warmup = p->flight_kind == FLIGHT_WARMUP;
    bool late = !warmup && now_ms >= p->script.late_ms;
    p->script.requests += r->result == PING_GOOD;
    p->status_requests += r->result == PING_GOOD;
    if (status == STATUS_OK && !late) {
        *news_of(p) = (struct script_news){.result = SCRIPT_GOOD};
        p->script.failures = 0;
        p->script.due_ms = now_ms + (warmup ? 0 : probe_interval_ms);
        return;
    }
    if (r->result != PING_GOOD) {
        fail(p, r->error);
    } else if (status != STATUS_OK) {
        char why[BOARD_TEXT_BYTES];
        snprintf(why, sizeof why, "the %s script answers %d", name_of(p->flight_kind), status);
        fail(p, line[0] ? line : why);
    } /* else late: said already, and a success that late is none */
    /* without an answer it was perhaps a reload that cut it off */
    bool soon = warmup || r->result != PING_GOOD;
    p->script.due_ms = now_ms + (soon ? flight_pause_ms(p->script.failures++) : probe_interval_ms);
}

void scripts_forget(struct pool *p)
{
    p->sample.warmup = p->sample.probe = (struct script_news){0};
    p->script.due_ms = 0;
    p->script.failures = 0;
}
