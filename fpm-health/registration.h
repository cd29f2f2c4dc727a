/* The JSON by which a pool, or the helper itself, is registered. Pure. */
#ifndef FPM_HEALTH_REGISTRATION_H
#define FPM_HEALTH_REGISTRATION_H

#include "instance.h"

/*
 * The TTL of a check, and how often it is told that nothing has changed. Few pools: as configured. With more, each heartbeat
 * has the agent look through all that it has; so they slow down with the number of pools, as far as a TTL allows that still
 * keeps the promise.
 */
int64_t registration_ttl_ms(const struct instance *instance);
int64_t registration_beat_ms(const struct instance *instance);

/*
 * The body of PUT /v1/agent/service/register. `routed_ip` is the address that routes to Consul, "" when Consul is on this
 * host. The caller frees it. NULL: out of memory.
 */
char *registration_of_pool(
    const struct instance *instance, const struct pool *pool, const char *id, const char *routed_ip);

/* The same of the service `svcreg`, by which Prometheus finds the node. */
char *registration_of_helper(const struct instance *instance, const char *id, const char *routed_ip);

#endif
