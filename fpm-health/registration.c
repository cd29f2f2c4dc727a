/* Registrations; see registration.h. */
#define _GNU_SOURCE
#include "registration.h"

#include "bounds.h"

#include <stdio.h>
#include <string.h>

enum { CHECK_WEIGHT_DEGRADED = 1 };

static bool shares_heartbeat(const struct instance *in)
{
    return in->pool_count > CONSUL_FEW_POOLS;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t registration_beat_ms(const struct instance *in, const struct pool *p)
{
    int64_t beat_ms = in->config->consul.heartbeat_ms;
    return p && shares_heartbeat(in) ? longer(beat_ms, CONSUL_POOL_BEAT_MS) : beat_ms;
}

static int64_t ttl_ms(const struct instance *in, const struct pool *p)
{
    int64_t ms = in->config->consul.ttl_ms;
    return !shares_heartbeat(in) ? ms : longer(ms, p ? CONSUL_POOL_TTL_MS : CONSUL_SHARED_TTL_MS);
}

static json_t *with_end(const struct instance *in, json_t *check)
{
    const struct consul_config *c = &in->config->consul;
    if (c->deregister_after_ms) {
        json_object_set_new(
            check, "DeregisterCriticalServiceAfter", json_sprintf("%lldms", (long long)c->deregister_after_ms));
    }
    return check;
}

static json_t *ttl_check(const struct instance *in, const struct pool *p, const char *id)
{
    return with_end(in,
        json_pack("{s:o, s:s, s:o, s:s}", "CheckID", json_sprintf("%s:ttl", id), "Name", "svcreg", "TTL",
            json_sprintf("%lldms", (long long)ttl_ms(in, p)), "Status", "critical"));
}

/* Begins well: the TTL check beside it does not. Where it is left behind by a reload to few pools it stays true. */
static json_t *helper_check(const struct instance *in, const char *id)
{
    json_t *helper = json_sprintf(REGISTRATION_ID, in->config->node, in->config->instance);
    return with_end(in,
        json_pack("{s:o, s:s, s:o, s:s}", "CheckID", json_sprintf("%s:helper", id), "Name", "svcreg helper",
            "AliasService", helper, "Status", "passing"));
}

/* Where others reach the pool: as configured, as it listens, or the way we reach Consul. Empty: the agent's own address. */
static void pool_address(const struct pool *p, const char *routed_ip, char out[static INET6_ADDRSTRLEN])
{
    out[0] = '\0';
    if (!p->address_known || address_is_unix(&p->address)) {
        return;
    }
    if (p->address.wildcard) {
        snprintf(out, INET6_ADDRSTRLEN, "%s", routed_ip);
    } else {
        address_ip(&p->address, out);
    }
}

static json_t *meta_of(const struct instance *in, const struct pool_config *p)
{
    json_t *meta = json_is_object(p->meta) ? json_copy(p->meta) : json_object();
    json_object_set_new(meta, "pool", json_string(p->name));
    json_object_set_new(meta, "pm", json_string(p->pm));
    json_object_set_new(meta, "max_children", json_sprintf("%lld", (long long)p->max_children));
    json_object_set_new(meta, "php", json_string(in->config->php));
    json_object_set_new(meta, "svcreg", json_string(SVCREG_VERSION));
    return meta;
}

static char *dump(json_t *service)
{
    char *body = service ? json_dumps(service, JSON_COMPACT) : NULL;
    json_decref(service);
    return body;
}

char *registration_of_pool(const struct instance *in, const struct pool *p, const char *id, const char *routed_ip)
{
    const struct pool_config *c = p->config;
    char ip[INET6_ADDRSTRLEN];
    pool_address(p, routed_ip, ip);
    int64_t weight = c->weight ? c->weight : c->max_children ? c->max_children : 1;
    json_t *service = json_pack("{s:s, s:s, s:s, s:i, s:o, s:{s:I, s:i}, s:o}", "ID", id, "Name", c->service, "Address",
        c->address[0] ? c->address : ip, "Port", p->address_known ? p->address.port : 0, "Meta", meta_of(in, c),
        "Weights", "Passing", (json_int_t)weight, "Warning", CHECK_WEIGHT_DEGRADED, "Check", ttl_check(in, p, id));
    if (service && shares_heartbeat(in)) {
        json_object_set_new(service, "Checks", json_pack("[o]", helper_check(in, id)));
    }
    if (service && c->tags) {
        json_object_set(service, "Tags", c->tags);
    }
    if (service && p->address_known && address_is_unix(&p->address)) {
        json_object_set_new(service, "SocketPath", json_string(c->listen));
    }
    return dump(service);
}

char *registration_of_helper(const struct instance *in, const char *id, const char *routed_ip)
{
    /* a port that only this host can reach is no use to Prometheus */
    const char *colon = strrchr(in->health_address, ':');
    bool reachable = colon && strncmp(in->health_address, "127.", 4) != 0 &&
        strncmp(in->health_address, "[::1]", 5) != 0 && strncmp(in->health_address, "unix:", 5) != 0;
    int port = 0;
    char host[INET6_ADDRSTRLEN] = "";
    if (reachable) {
        sscanf(colon + 1, "%d", &port);
        bool wildcard = strncmp(in->health_address, "0.0.0.0:", 8) == 0 || strncmp(in->health_address, "[::]:", 5) == 0;
        const char *from = in->health_address + (in->health_address[0] == '[');
        size_t n = (size_t)(colon - from) - (in->health_address[0] == '[');
        snprintf(host, sizeof host, "%.*s", wildcard ? (int)strlen(routed_ip) : (int)n, wildcard ? routed_ip : from);
    }
    return dump(
        json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:s}, s:o}", "ID", id, "Name", "svcreg", "Address", host, "Port", port,
            "Meta", "instance", in->config->instance, "version", SVCREG_VERSION, "Check", ttl_check(in, NULL, id)));
}
