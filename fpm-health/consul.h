/* Consul: registers the pools, keeps their TTL checks told, mends what the agent forgot, and leaves in good order. */
#ifndef FPM_HEALTH_CONSUL_H
#define FPM_HEALTH_CONSUL_H

#include <stdbool.h>

#include "instance.h"
#include "loop.h"

struct consul;
struct consul_service;

/* Called after each change of mood, registration or acknowledgement; `context` is consul_create()'s. */
typedef void consul_changed(void *context);

/* Makes the client for in->config. Nothing is sent before the loop turns. NULL: out of memory, or libcurl refuses the settings. */
struct consul *consul_create(struct loop *loop, struct instance *in, consul_changed *changed, void *context);

/* Gives up all requests and frees every service. What is registered stays registered. */
void consul_destroy(struct consul *consul);

/* After a reload: a new configuration of the same connection, or of the pools' registrations. in->config is the new one. */
void consul_reconfigure(struct consul *consul);

/* Wants `pool` registered, or its registration as it should be by now; sets pool->service. */
void consul_want(struct consul *consul, struct pool *pool);

/* The pool has vanished: deregisters it and forgets it. */
void consul_drop(struct consul *consul, struct consul_service *service);

/* Tells the pool's verdict, now if it is news, and switches Consul's own maintenance mode as the pool's is. */
void consul_tell(struct consul *consul, struct consul_service *service, const struct verdict *verdict);

/* The agent has acknowledged the registration. */
bool consul_registered(const struct consul_service *service);

/* The agent has acknowledged the newest verdict. */
bool consul_told(const struct consul_service *service);

/* Deregisters everything, within CONSUL_LEAVE_MS; consul_left() is then true, and `changed` is called. */
void consul_leave(struct consul *consul);
bool consul_left(const struct consul *consul);

/* The same after a reload to another place: from now on this one speaks for no pool and tells nobody its mood. */
void consul_retire(struct consul *consul);

struct writer;
/* svcreg_consul_* metrics. */
void consul_metrics(const struct consul *consul, bool openmetrics, struct writer *w);

#endif
