/* The JSON by which a pool, or the helper itself, is registered. Pure. */
#ifndef FPM_HEALTH_REGISTRATION_H
#define FPM_HEALTH_REGISTRATION_H

#include "instance.h"

/* The ID of the service `svcreg`, of a node and an instance. Its pools' begin so, with a colon and their name behind it. */
#define REGISTRATION_ID "svcreg:%s:%s"

/*
 * How often Consul is told that nothing has changed, of a pool or, where that is NULL, of the helper itself. Few pools: as
 * configured. More would keep the agent busy, which looks through all that it has for each heartbeat: then the helper's alone
 * is frequent, and each pool has a second check, an alias of the service `svcreg`, which turns with it.
 */
int64_t registration_beat_ms(const struct instance *instance, const struct pool *pool);

/*
 * The body of PUT /v1/agent/service/register. `routed_ip` is the address that routes to Consul, "" when Consul is on this
 * host. The caller frees it. NULL: out of memory.
 */
char *registration_of_pool(
    const struct instance *instance, const struct pool *pool, const char *id, const char *routed_ip);

/* The same of the service `svcreg`, by which Prometheus finds the node. */
char *registration_of_helper(const struct instance *instance, const char *id, const char *routed_ip);

#endif
