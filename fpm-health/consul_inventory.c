/* What the agent has of this instance, asked when Consul comes (back): leftovers, and Consul's own maintenance mode. */
#define _GNU_SOURCE
#include "consul_service.h"

#include "log.h"
#include "writer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Consul's name for the check of a service in maintenance begins so. */
#define MAINTENANCE_CHECK "_service_maintenance:"

static bool is_ours(const struct consul *c, const char *id)
{
    size_t prefix = strlen(c->own.id);
    if (strncmp(id, c->own.id, prefix) != 0 || id[prefix] != ':') {
        return true; /* another's: just as well left alone */
    }
    const char *name = id + prefix + 1;
    struct pool *pool = instance_pool(c->in, name, strlen(name));
    return pool && pool->service;
}

/* Lists what of ours the agent has: `what` it is, and its `key` that begins with `prefix` and our ID. */
static int send_list(struct consul *c, const char *what, const char *key, const char *prefix, client_done *done)
{
    char *filter = NULL, *escaped = NULL, *path = NULL;
    int result = -1;
    if (asprintf(&filter, "%s contains \"%s%s:\"", key, prefix, c->own.id) != -1 && (escaped = client_escape(filter)) &&
        asprintf(&path, "/v1/agent/%s?filter=%s", what, escaped) != -1) {
        result = client_send(c->client, "GET", path, NULL, done, c);
    }
    c->listing = result == 0;
    free(filter);
    client_free(escaped);
    free(path);
    return result;
}

/* What this instance registered in an earlier life and has no more: ghosts, unless we remove them. */
static void remove_leftovers(struct consul *c, json_t *services)
{
    const char *id;
    json_t *service;
    int found = 0;
    json_object_foreach(services, id, service)
    {
        if (!is_ours(c, id) && found++ < CONSUL_LEFTOVERS_MAX) {
            struct consul_service *leftover = service_create(c, id);
            if (leftover) {
                log_notice("%s: left behind by an earlier run, deregistering", id);
                leftover->known = true;
                service_make_ready(leftover, false);
            }
        }
    }
}

/* What we believe to be registered and is not. */
static void mend_lost(struct consul *c, const json_t *services)
{
    for (struct consul_service *s = c->services; s; s = s->elder) {
        if (s->wanted && s->registered && !json_object_get(services, s->id)) {
            service_mend(s);
        }
    }
}

/* Which pools an earlier helper, or this one before a failure, has put into maintenance. */
static void take_maintenance(struct consul *c, const json_t *checks)
{
    for (struct consul_service *s = c->services; s; s = s->elder) {
        char check[sizeof MAINTENANCE_CHECK + 512];
        snprintf(check, sizeof check, "%s%s", MAINTENANCE_CHECK, s->id);
        const char *notes = json_string_value(json_object_get(json_object_get(checks, check), "Notes"));
        s->in_maintenance = notes && strncmp(notes, CONSUL_MAINTENANCE_MARK, strlen(CONSUL_MAINTENANCE_MARK)) == 0;
    }
}

/* A Consul that was away may have forgotten what it was told, or let it run out. */
static void tell_again(struct consul *c)
{
    for (struct consul_service *s = c->services; s; s = s->elder) {
        if (s->registered && s->queue == QUEUE_BEATS) {
            s->due_ms = c->loop->now_ms;
            service_make_ready(s, false);
        }
    }
}

/* The object in a list's answer; NULL: none, and said so. */
static json_t *take_list(struct consul *c, const struct client_answer *a)
{
    c->listing = false;
    consul_count(c, OP_LIST, a);
    json_t *list = c->phase == CONSUL_SERVING && a->status == 200 ? json_loads(a->body, 0, NULL) : NULL;
    if (c->phase == CONSUL_SERVING && !json_is_object(list)) {
        char why[BOARD_TEXT_BYTES] = "answers something that is no list";
        if (a->status != 200) {
            consul_describe(a, why);
        }
        json_decref(list);
        list = NULL;
        consul_fail(c, why, a->seconds);
    }
    return list;
}

static void on_maintenance_list(void *context, const struct client_answer *a)
{
    struct consul *c = context;
    json_t *checks = take_list(c, a);
    if (checks) {
        take_maintenance(c, checks);
        json_decref(checks);
        c->listed = true;
        consul_succeed(c);
        tell_again(c);
    }
    consul_pump(c);
}

static void on_list(void *context, const struct client_answer *a)
{
    struct consul *c = context;
    json_t *services = take_list(c, a);
    if (services) {
        if (strcmp(c->routed_ip, a->local_ip) != 0) {
            snprintf(c->routed_ip, sizeof c->routed_ip, "%s", a->local_ip);
            consul_reconfigure(c);
        }
        remove_leftovers(c, services);
        mend_lost(c, services);
        json_decref(services);
        if (send_list(c, "checks", "CheckID", MAINTENANCE_CHECK, on_maintenance_list) == -1) {
            consul_fail(c, "out of memory", 0);
        }
    }
    consul_pump(c);
}

int consul_take_inventory(struct consul *c)
{
    return send_list(c, "services", "ID", "", on_list);
}
