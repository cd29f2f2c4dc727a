/* What the helper wants of Consul; see consul.h, and consul_service.h for how it gets it. */
#define _GNU_SOURCE
#include "consul.h"

#include "client.h"
#include "consul_service.h"
#include "dialect.h"
#include "log.h"
#include "registration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[OPS] = {"list", "register", "update", "maintenance", "deregister"};

static void on_beat(struct loop_timer *timer)
{
    struct consul *c = container_of(timer, struct consul, beat);
    while (c->beats.first && c->beats.first->due_ms <= c->loop->now_ms + CONSUL_BEAT_SLACK_MS) {
        service_make_ready(c->beats.first, true); /* what is registered goes before what is to be */
    }
    if (c->beats.first) {
        loop_set(c->loop, &c->beat, c->beats.first->due_ms);
    }
    consul_pump(c);
}

static void on_retry(struct loop_timer *timer)
{
    consul_pump(container_of(timer, struct consul, retry));
}

static void on_deadline(struct loop_timer *timer)
{
    struct consul *c = container_of(timer, struct consul, deadline);
    client_cancel(c->client);
    c->phase = CONSUL_LEFT;
    c->changed(c->context);
}

/* Takes a fresh registration; the same as before changes nothing. */
static void set_body(struct consul_service *s, char *body)
{
    if (body && s->body && strcmp(body, s->body) == 0) {
        free(body);
    } else if (body) {
        free(s->body);
        s->body = body;
        s->registered = false;
    }
    if (!s->wanted || !s->registered) {
        s->wanted = true;
        service_make_ready(s, false);
    }
}

struct consul *consul_create(struct loop *loop, struct instance *in, consul_changed *changed, void *context)
{
    struct consul *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = (struct consul){.loop = loop,
        .in = in,
        .changed = changed,
        .context = context,
        .client = client_create(loop, &in->config->consul)};
    c->beat.fire = on_beat;
    c->retry.fire = on_retry;
    c->deadline.fire = on_deadline;
    c->own = (struct consul_service){.consul = c, .status = "passing", .output = "running", .news = 1};
    if (!c->client || asprintf(&c->own.id, REGISTRATION_ID, in->config->node, in->config->instance) == -1 ||
        !(c->own.escaped_id = client_escape(c->own.id))) {
        client_destroy(c->client);
        free(c->own.id);
        free(c);
        return NULL;
    }
    in->consul_url = client_url(c->client);
    in->consul_state = BOARD_CONSUL_CONNECTING;
    set_body(&c->own, registration_of_helper(in, c->own.id, c->routed_ip));
    loop_set(loop, &c->retry, loop->now_ms);
    return c;
}

static void give_up_pools(struct consul *c)
{
    for (size_t i = 0; i < c->in->pool_count; i++) {
        c->in->pools[i]->service = NULL;
    }
    c->in->consul_url = "off";
    c->in->consul_state = BOARD_CONSUL_OFF;
}

void consul_destroy(struct consul *c)
{
    if (!c) {
        return;
    }
    client_cancel(c->client);
    service_leave_queue(&c->own);
    if (!c->retired) {
        give_up_pools(c);
    }
    while (c->services) {
        service_forget(c->services);
    }
    loop_clear(c->loop, &c->beat);
    loop_clear(c->loop, &c->retry);
    loop_clear(c->loop, &c->deadline);
    client_destroy(c->client);
    free(c->own.id);
    client_free(c->own.escaped_id);
    free(c->own.body);
    free(c);
}

void consul_reconfigure(struct consul *c)
{
    const char *ip = strncmp(c->routed_ip, "127.", 4) == 0 || strcmp(c->routed_ip, "::1") == 0 ? "" : c->routed_ip;
    set_body(&c->own, registration_of_helper(c->in, c->own.id, ip));
    for (size_t i = 0; i < c->in->pool_count; i++) {
        struct pool *p = c->in->pools[i];
        if (p->service) {
            set_body(p->service, registration_of_pool(c->in, p, p->service->id, ip));
        }
    }
}

void consul_want(struct consul *c, struct pool *pool)
{
    if (!pool->service) {
        char id[512];
        snprintf(id, sizeof id, "%s:%s", c->own.id, pool->config->name);
        pool->service = service_create(c, id);
        if (!pool->service) {
            log_error("pool %s: out of memory, not registered", pool->config->name);
            return;
        }
        pool->service->pool = pool;
    }
    const char *ip = strncmp(c->routed_ip, "127.", 4) == 0 || strcmp(c->routed_ip, "::1") == 0 ? "" : c->routed_ip;
    set_body(pool->service, registration_of_pool(c->in, pool, pool->service->id, ip));
    consul_pump(c);
}

void consul_drop(struct consul *c, struct consul_service *s)
{
    s->wanted = false;
    s->pool = NULL;
    service_make_ready(s, false);
    consul_pump(c);
}

void consul_tell(struct consul *c, struct consul_service *s, const struct verdict *v)
{
    const char *status = v->state == BOARD_HEALTHY ? "passing" : v->state == BOARD_DEGRADED ? "warning" : "critical";
    char output[CONSUL_OUTPUT_BYTES];
    struct writer w = {output, sizeof output - 1, 0};
    dialect_state_line(v, &w);
    output[writer_cut(&w) ? w.room : w.length] = '\0';
    bool maintenance = s->pool && s->pool->sample.maintenance;
    bool told_before = s->status && strcmp(s->status, status) == 0 && strcmp(s->output, output) == 0;
    if (told_before && s->maintenance == maintenance) {
        return;
    }
    s->maintenance = maintenance;
    if (!told_before) {
        s->status = status;
        memcpy(s->output, output, sizeof output);
        s->news++;
    }
    service_make_ready(s, true);
    consul_pump(c);
}

bool consul_registered(const struct consul_service *s)
{
    return s->registered;
}

bool consul_told(const struct consul_service *s)
{
    return s->registered && s->told == s->news;
}

/* A registration on its way must be answered before our goodbye: the agent could take it in after that, a ghost. */
static bool is_registering(const struct consul *c)
{
    bool registering = c->own.busy && c->own.op == OP_REGISTER;
    for (const struct consul_service *s = c->services; s; s = s->elder) {
        registering |= s->busy && s->op == OP_REGISTER;
    }
    return registering;
}

static void say_goodbye(struct consul_service *s, bool waits)
{
    s->wanted = false;
    s->busy &= waits;
    service_make_ready(s, false);
}

/* Who leaves before it has heard what the agent has says goodbye for its predecessor too, which left that to it. */
static void suppose_known(struct consul *c)
{
    for (struct consul_service *s = c->services; s; s = s->elder) {
        s->known = true;
    }
    c->own.known = true;
}

void consul_leave(struct consul *c)
{
    if (c->phase != CONSUL_SERVING) {
        return;
    }
    c->phase = CONSUL_LEAVING;
    if (!c->listed && !c->pause_ms) {
        suppose_known(c);
    }
    bool waits = is_registering(c);
    int64_t leave_ms = CONSUL_LEAVE_MS + (int64_t)c->in->pool_count * CONSUL_LEAVE_SHARE_MS;
    if (!waits) {
        client_cancel(c->client); /* a heartbeat in flight is of no use any more */
        c->listing = false;
    }
    c->pause_ms = 0;
    loop_clear(c->loop, &c->retry);
    loop_set(c->loop, &c->deadline, c->loop->now_ms + leave_ms);
    for (struct consul_service *s = c->services; s; s = s->elder) {
        say_goodbye(s, waits);
    }
    say_goodbye(&c->own, waits);
    consul_pump(c);
}

void consul_retire(struct consul *c)
{
    give_up_pools(c);
    c->retired = true;
    for (struct consul_service *s = c->services; s; s = s->elder) {
        s->pool = NULL;
    }
    consul_leave(c);
}

bool consul_left(const struct consul *c)
{
    return c->phase == CONSUL_LEFT;
}

void consul_metrics(const struct consul *c, bool openmetrics, struct writer *w)
{
    static const char *const codes[CONSUL_CODE_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const char *suffix = openmetrics ? "" : "_total";
    writer_format(w, "# HELP svcreg_consul_requests%s Requests to Consul, by kind and class of status.\n", suffix);
    writer_format(w, "# TYPE svcreg_consul_requests%s counter\n", suffix);
    for (int op = 0; op < OPS; op++) {
        for (int code = 0; code < CONSUL_CODE_CLASSES; code++) {
            if (c->requests[op][code]) {
                writer_format(w, "svcreg_consul_requests_total{op=\"%s\",code=\"%s\"} %llu\n", op_names[op],
                    codes[code], (unsigned long long)c->requests[op][code]);
            }
        }
    }
    writer_text(w,
        "# HELP svcreg_consul_request_duration_seconds Time that Consul took to answer.\n"
        "# TYPE svcreg_consul_request_duration_seconds summary\n");
    writer_format(w, "svcreg_consul_request_duration_seconds_sum %.6f\n", c->seconds);
    writer_format(w, "svcreg_consul_request_duration_seconds_count %llu\n", (unsigned long long)c->answers);
}
