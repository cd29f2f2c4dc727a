/* Dialects; see dialect.h. */
#include "dialect.h"

/* Tables are in the order of enum board_state: starting, healthy, degraded, draining, maintenance, down. */

int dialect_status(enum dialect dialect, enum board_state state)
{
    static const int generic[BOARD_STATES] = {503, 200, 200, 503, 503, 503};
    static const int consul[BOARD_STATES] = {503, 200, 429, 503, 503, 503};
    static const int haproxy[BOARD_STATES] = {404, 200, 200, 404, 404, 503};
    return dialect == DIALECT_CONSUL ? consul[state] : dialect == DIALECT_HAPROXY ? haproxy[state] : generic[state];
}

const char *dialect_content_type(enum dialect dialect)
{
    return dialect == DIALECT_HEALTH ? "application/health+json" : "text/plain; charset=utf-8";
}

const char *dialect_headers(enum dialect dialect, enum board_state state)
{
    if (dialect != DIALECT_HEALTH && dialect != DIALECT_READY) {
        return "";
    }
    return state == BOARD_DEGRADED ? "x-envoy-degraded: true\r\n"
        : state == BOARD_DRAINING  ? "x-envoy-immediate-health-check-fail: true\r\n"
                                   : "";
}

const char *dialect_health_word(enum board_state state)
{
    static const char *const words[BOARD_STATES] = {"fail", "pass", "warn", "fail", "fail", "fail"};
    return words[state];
}

void dialect_state_line(const struct verdict *v, struct writer *w)
{
    writer_text(w, board_state_name(v->state));
    if (v->reason[0]) {
        writer_text(w, ": ");
        writer_text(w, v->reason);
    }
}

void dialect_health_check(const struct subject *s, struct writer *w)
{
    writer_text(w, "{\"componentId\":");
    writer_json(w, s->pool);
    writer_format(w, ",\"status\":\"%s\",\"observedValue\":\"%s\",\"weight\":%u",
        dialect_health_word(s->verdict->state), board_state_name(s->verdict->state), (unsigned)s->verdict->weight);
    if (s->verdict->reason[0]) {
        writer_text(w, ",\"output\":");
        writer_json(w, s->verdict->reason);
    }
    writer_text(w, "}");
}

/* Words are sticky in HAProxy: each line says all of them, so that healthy takes back what was said before. */
static void agent_line(const struct verdict *v, struct writer *w)
{
    switch (v->state) {
    case BOARD_HEALTHY:
    case BOARD_DEGRADED: writer_format(w, "ready up %u%%\n", (unsigned)v->weight); break;
    case BOARD_STARTING: writer_text(w, "drain up #starting\n"); break; /* not "down": that would count as a failure */
    case BOARD_DRAINING: writer_text(w, "drain up\n"); break;
    case BOARD_MAINTENANCE: writer_text(w, "maint\n"); break;
    default: writer_format(w, "down #%s\n", v->reason); break;
    }
}

void dialect_body(enum dialect dialect, const struct subject *s, struct writer *w)
{
    static const char *const tokens[BOARD_STATES] = {"starting", "ready", "ready", "drain", "maint", "down"};
    switch (dialect) {
    case DIALECT_HEALTH:
        writer_format(w, "{\"status\":\"%s\",\"checks\":{\"pool:state\":[", dialect_health_word(s->verdict->state));
        dialect_health_check(s, w);
        writer_text(w, "]}}\n");
        break;
    case DIALECT_F5: /* nothing else: any other text could hold another token */
        writer_format(w, "state=%s\n", tokens[s->verdict->state]);
        break;
    case DIALECT_AGENT: agent_line(s->verdict, w); break;
    default: dialect_state_line(s->verdict, w); writer_text(w, "\n");
    }
}

int dialect_nagios(const struct subject *s, struct writer *w)
{
    static const int codes[BOARD_STATES] = {2, 0, 1, 2, 2, 2};
    static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
    int code = codes[s->verdict->state];
    writer_format(w, "%s - ", words[code]);
    writer_text(w, s->pool);
    writer_text(w, " ");
    size_t line = w->length;
    dialect_state_line(s->verdict, w);
    for (size_t i = line; i < w->length && i < w->room; i++) {
        w->bytes[i] = w->bytes[i] == '|' ? '/' : w->bytes[i]; /* the bar begins the performance data */
    }
    const struct sample *m = s->sample;
    if (m->workers_known || m->queue_known) {
        writer_text(w, " |");
    }
    if (m->workers_known) {
        writer_format(w, " active=%u idle=%u", m->active, m->total > m->active ? m->total - m->active : 0);
    }
    if (m->queue_known) {
        writer_format(w, " queue=%u;;;0;%u", m->queue, m->queue_max);
    }
    writer_text(w, "\n");
    return code;
}
