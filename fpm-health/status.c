/* Status as JSON; see status.h. No tree of values in between: with 1,000 pools it would take milliseconds. */
#include "status.h"

#include "consul.h"

#include <stdio.h>
#include <unistd.h>

static void text_member(struct writer *w, const char *name, const char *value)
{
    writer_text(w, "\"");
    writer_text(w, name);
    writer_text(w, "\":");
    writer_json(w, value);
    writer_text(w, ",");
}

/*
 * What is not known is null. The last member of an object is followed by `end`. Readers' integers have 63 bits, and a worker's
 * counter on the board may hold anything.
 */
static void number_member(struct writer *w, const char *name, bool known, uint64_t value, const char *end)
{
    writer_text(w, "\"");
    writer_text(w, name);
    writer_text(w, known ? "\":" : "\":null");
    if (known) {
        writer_number(w, value < INT64_MAX ? value : INT64_MAX); /* more is no number to many a parser */
    }
    writer_text(w, end);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void service_id(struct writer *w, const struct instance *in, const struct pool *p)
{
    char id[1024];
    snprintf(id, sizeof id, "svcreg:%s:%s:%s", in->config->node, in->config->instance, p->config->name);
    text_member(w, "service_id", id);
}

static void pool_status(struct writer *w, const struct instance *in, const struct pool *p)
{
    const struct sample *s = &p->sample;
    const struct pool_config *c = p->config;
    writer_text(w, "{");
    text_member(w, "name", c->name);
    text_member(w, "listen", c->listen);
    text_member(w, "service", c->service);
    service_id(w, in, p);
    text_member(w, "state", board_state_name(p->verdict.state));
    text_member(w, "reason", p->verdict.reason);
    number_member(w, "weight", true, p->verdict.weight, ",\"workers\":{");
    number_member(w, "max", c->max_children > 0, (uint64_t)c->max_children, ",");
    number_member(w, "total", s->workers_known, s->total, ",");
    number_member(w, "active", s->workers_known, s->active, ",");
    number_member(w, "idle", s->workers_known, s->total > s->active ? s->total - s->active : 0, "},\"queue\":{");
    number_member(w, "length", s->queue_known, s->queue, ",");
    number_member(w, "max", s->queue_known, s->queue_max, "},");
    number_member(w, "requests", s->requests_known, s->requests, ",");
    number_member(w, "since", true, (uint64_t)p->since_s, ",");
    text_member(w, "drain", drain_phase_name(p->drain.phase));
    writer_format(w, "\"registered\":%s,\"ping_allowed\":%s}", truth(p->service && consul_registered(p->service)),
        truth(s->ping != PING_FORBIDDEN));
}

void status_render(const struct instance *in, int64_t now_ms, struct writer *w)
{
    static const char *const consul_states[] = {"off", "connecting", "ok", "failing"};
    writer_text(w, "{\"version\":\"" SVCREG_VERSION "\",");
    text_member(w, "node", in->config->node);
    text_member(w, "instance", in->config->instance);
    number_member(w, "generation", true, (uint64_t)in->config->generation, ",\"master\":{");
    number_member(w, "pid", in->master_pid != 0, (uint64_t)in->master_pid, "},\"helper\":{");
    text_member(w, "error", in->error);
    number_member(w, "uptime_s", true, (uint64_t)((now_ms - in->started_ms) / 1000), ",");
    number_member(w, "pid", true, (uint64_t)getpid(), "},\"consul\":{");
    text_member(w, "url", in->consul_url);
    text_member(w, "error", in->consul_error);
    writer_format(w, "\"state\":\"%s\"},", consul_states[in->consul_state]);
    text_member(w, "health_listen", in->health_address);
    writer_format(w, "\"stopping\":%s,\"pools\":[", truth(in->stopping));
    for (size_t i = 0; i < in->pool_count; i++) {
        writer_text(w, i ? "," : "");
        pool_status(w, in, in->pools[i]);
    }
    writer_text(w, "]}\n");
}
