/* Requests to Consul, and what their answers mean for a service and for the mood of all; see consul_service.h. */
#define _GNU_SOURCE
#include "consul_service.h"

#include "log.h"
#include "registration.h"
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_mood(struct consul *c, enum board_consul mood, const char *error)
{
    struct instance *in = c->in;
    if (c->retired) {
        return;
    }
    if (in->consul_state == mood && (mood != BOARD_CONSUL_FAILING || strcmp(in->consul_error, error) == 0)) {
        return;
    }
    bool turned = in->consul_state != mood;
    in->consul_state = mood;
    text_clean(in->consul_error, sizeof in->consul_error, error);
    if (turned && mood == BOARD_CONSUL_FAILING) {
        log_warning("consul %s: %s; PHP is served on, trying again until it answers", in->consul_url, in->consul_error);
    } else if (turned && mood == BOARD_CONSUL_OK) {
        log_notice("consul %s: connected", in->consul_url);
    }
    c->changed(c->context);
}

void consul_fail(struct consul *c, const char *error, double asked_seconds_ago)
{
    c->pause_ms = c->pause_ms ? c->pause_ms * 2 : CONSUL_RETRY_MS;
    if (c->pause_ms > CONSUL_RETRY_MAX_MS) {
        c->pause_ms = CONSUL_RETRY_MAX_MS;
    }
    int64_t jittered_ms = c->pause_ms * 3 / 4 + random() % (c->pause_ms / 4 + 1);
    loop_set(c->loop, &c->retry, c->loop->now_ms + jittered_ms - (int64_t)(1000 * asked_seconds_ago));
    c->listed = false;
    set_mood(c, BOARD_CONSUL_FAILING, error);
}

void consul_succeed(struct consul *c)
{
    c->pause_ms = 0;
    loop_clear(c->loop, &c->retry);
    set_mood(c, BOARD_CONSUL_OK, "");
}

void consul_count(struct consul *c, enum consul_op op, const struct client_answer *a)
{
    int class = a->status / 100;
    c->requests[op][class >= 0 && class < CONSUL_CODE_CLASSES ? class : 0]++;
    if (a->status) {
        c->answers++;
        c->seconds += a->seconds;
    }
}

void consul_describe(const struct client_answer *a, char out[static BOARD_TEXT_BYTES])
{
    if (!a->status) {
        text_clean(out, BOARD_TEXT_BYTES, a->error);
        return;
    }
    char line[BOARD_TEXT_BYTES];
    snprintf(line, sizeof line, "answers %d: %.*s", a->status, (int)strcspn(a->body, "\r\n"), a->body);
    text_clean(out, BOARD_TEXT_BYTES, line);
}

static void after_register(struct consul_service *s, const struct client_answer *a, int64_t now_ms)
{
    struct consul *c = s->consul;
    if (a->status == 400) { /* this registration is wrong, Consul is not: it must not hold up the others */
        char why[BOARD_TEXT_BYTES];
        consul_describe(a, why);
        if (!s->refused) {
            log_error("%s: Consul refuses the registration: %s", s->id, why);
        }
        s->refused = true;
        consul_succeed(c);
        service_await_beat(s, now_ms + CONSUL_REFUSED_RETRY_MS);
        return;
    }
    s->refused = false;
    s->registered = s->known = true;
    s->told = s->news - 1; /* what the agent now shows is not what we say */
    consul_succeed(c);
    /* critical is what it begins with: to say why can wait until all are registered, or it has turned by then */
    service_make_ready(s, s->status && strcmp(s->status, "critical") != 0);
}

static bool check_unknown(const struct client_answer *a)
{
    return a->status == 404 ||
        (a->status == 500 && (strstr(a->body, "nknown check") || strstr(a->body, "does not have associated TTL")));
}

/* What `s` has to do next, or OPS when nothing. */
static enum consul_op next_op(const struct consul_service *s, int64_t now_ms)
{
    if (!s->wanted) {
        return s->known ? OP_DEREGISTER : OPS;
    }
    if (!s->registered) {
        return s->body ? OP_REGISTER : OPS;
    }
    if (!s->status) {
        return OPS;
    }
    if (s->told != s->news || s->due_ms <= now_ms + CONSUL_BEAT_SLACK_MS) {
        return OP_UPDATE;
    }
    return s->maintenance != s->in_maintenance ? OP_MAINTAIN : OPS;
}

void service_mend(struct consul_service *s)
{
    struct consul *c = s->consul;
    if (s->registered && !c->mending) { /* one line, however many services an agent has lost */
        log_notice("consul %s: has lost %s, registering again what is missing", c->in->consul_url, s->id);
        c->mending = true;
    }
    c->listed &= s != &c->own; /* others are probably lost too */
    s->registered = s->in_maintenance = false;
    service_make_ready(s, true);
}

static void after_maintain(struct consul_service *s, const struct client_answer *a, int64_t now_ms)
{
    if (a->status == 404) {
        service_mend(s);
    } else {
        s->in_maintenance = s->maintaining;
        service_await_beat(s, s->due_ms);
        if (next_op(s, now_ms) != OPS) {
            service_make_ready(s, true);
        }
    }
    consul_succeed(s->consul);
}

/* They beat in groups: a request that comes together with others costs the agent less than one by itself. */
static int64_t next_beat_ms(const struct consul_service *s)
{
    int64_t every_ms = registration_beat_ms(s->consul->in, s->pool);
    int64_t group = s->pool ? (int64_t)s->pool->index / CONSUL_BEAT_TOGETHER : 0;
    return loop_next_turn_ms(s->consul->loop, every_ms, group * CONSUL_BEAT_APART_MS % every_ms);
}

static void after_update(struct consul_service *s, const struct client_answer *a, int64_t now_ms)
{
    struct consul *c = s->consul;
    if (check_unknown(a)) {
        service_mend(s);
    } else {
        c->mending = false;
        service_await_beat(s, next_beat_ms(s));
        s->told = s->telling;
        if (next_op(s, now_ms) != OPS) {
            service_make_ready(s, true);
        }
    }
    consul_succeed(c);
}

static void after_deregister(struct consul_service *s)
{
    struct consul *c = s->consul;
    s->registered = s->known = false;
    consul_succeed(c);
    if (!s->wanted) {
        if (!s->pool) {
            service_forget(s);
        }
        return;
    }
    service_make_ready(s, false);
}

static bool acceptable(const struct consul_service *s, const struct client_answer *a)
{
    switch (s->op) {
    case OP_REGISTER: return a->status == 200 || a->status == 400;
    case OP_UPDATE: return a->status == 200 || check_unknown(a);
    default: return a->status == 200 || a->status == 404;
    }
}

static void on_answer(void *context, const struct client_answer *a)
{
    struct consul_service *s = context;
    struct consul *c = s->consul;
    int64_t now_ms = c->loop->now_ms;
    enum consul_op op = s->op;
    bool told = consul_told(s);
    s->busy = false;
    consul_count(c, op, a);
    if (!acceptable(s, a)) {
        char why[BOARD_TEXT_BYTES];
        consul_describe(a, why);
        service_make_ready(s, false);
        consul_fail(c, why, a->seconds);
        if (c->phase == CONSUL_LEAVING && !a->status) {
            c->phase = CONSUL_LEFT; /* nobody there to say goodbye to */
        }
    } else if (op == OP_REGISTER) {
        after_register(s, a, now_ms);
    } else if (op == OP_UPDATE) {
        after_update(s, a, now_ms);
    } else if (op == OP_MAINTAIN) {
        after_maintain(s, a, now_ms);
    } else {
        after_deregister(s);
    }
    bool only_beat = op == OP_UPDATE && told && consul_told(s) && c->phase == CONSUL_SERVING;
    consul_pump(c);
    if (!only_beat) {
        c->changed(c->context);
    }
}

/* PUT …/maintenance/ID?enable=…; the reason tells ours from what somebody else switched on. */
static void write_maintain(const struct consul_service *s, char *path, size_t room)
{
    char reason[sizeof CONSUL_MAINTENANCE_MARK + BOARD_TEXT_BYTES + 2];
    const char *why = s->pool ? s->pool->sample.control_reason : "";
    snprintf(reason, sizeof reason, "%s%s%s", CONSUL_MAINTENANCE_MARK, *why ? ": " : "", why);
    char *escaped = client_escape(reason);
    snprintf(path, room, "/v1/agent/service/maintenance/%s?enable=%s&reason=%s", s->escaped_id,
        s->maintaining ? "true" : "false", escaped ? escaped : "");
    client_free(escaped);
}

static int send_op(struct consul_service *s, enum consul_op op)
{
    struct consul *c = s->consul;
    char path[2048], body[2 * CONSUL_OUTPUT_BYTES + 64];
    struct writer w = {body, sizeof body - 1, 0};
    const char *sent = "";
    switch (op) {
    case OP_REGISTER:
        snprintf(path, sizeof path, "/v1/agent/service/register");
        sent = s->body;
        break;
    case OP_UPDATE:
        snprintf(path, sizeof path, "/v1/agent/check/update/%s:ttl", s->escaped_id);
        writer_format(&w, "{\"Status\":\"%s\",\"Output\":", s->status);
        writer_json(&w, s->output);
        writer_text(&w, "}");
        body[writer_cut(&w) ? 0 : w.length] = '\0';
        sent = body;
        s->telling = s->news;
        break;
    case OP_MAINTAIN:
        s->maintaining = s->maintenance;
        write_maintain(s, path, sizeof path);
        break;
    default: snprintf(path, sizeof path, "/v1/agent/service/deregister/%s", s->escaped_id);
    }
    if (client_send(c->client, "PUT", path, sent, on_answer, s) == -1) {
        return -1;
    }
    s->op = op;
    s->busy = true;
    s->known |= op == OP_REGISTER;
    return 0;
}

static void check_left(struct consul *c)
{
    if (c->phase == CONSUL_LEAVING && !c->ready.first && client_in_flight(c->client) == 0) {
        c->phase = CONSUL_LEFT;
    }
}

/* The agent tells the catalog of a service and its check by the token that registered them, however stale. */
static void register_by_new_token(struct consul *c)
{
    for (struct consul_service *s = c->services; s; s = s->elder) {
        s->registered = false;
        service_make_ready(s, false);
    }
    c->own.registered = false;
    service_make_ready(&c->own, true);
}

/* The helper itself comes first: its check may stand for all. It says goodbye last. */
static struct consul_service *next_ready(struct consul *c)
{
    return c->phase == CONSUL_SERVING && c->own.queue == QUEUE_READY ? &c->own : c->ready.first;
}

void consul_pump(struct consul *c)
{
    if (c->phase == CONSUL_SERVING && client_token_changed(c->client)) {
        register_by_new_token(c);
    }
    int most = c->pause_ms ? 1 : CONSUL_IN_FLIGHT;
    while (!c->retry.place && c->phase != CONSUL_LEFT && client_in_flight(c->client) < most) {
        if (!c->listed && c->phase == CONSUL_SERVING) {
            if (!c->listing && consul_take_inventory(c) == -1) {
                consul_fail(c, "out of memory", 0);
            }
            return;
        }
        struct consul_service *s = next_ready(c);
        if (!s) {
            break;
        }
        service_leave_queue(s);
        enum consul_op op = next_op(s, c->loop->now_ms);
        if (op == OPS) {
            if (!s->wanted && !s->pool) {
                service_forget(s);
            }
        } else if (send_op(s, op) == -1) {
            service_make_ready(s, true);
            consul_fail(c, "out of memory", 0);
        }
    }
    check_left(c);
}
