/*
 * A pool's own scripts: the warm-up, that has to succeed before the pool is passing, and then the probe, whose failure means
 * degraded. Which is due, and what its answer says; the flight itself is the sampler's.
 */
#ifndef FPM_HEALTH_SCRIPTS_H
#define FPM_HEALTH_SCRIPTS_H

#include "flight.h"
#include "instance.h"

/* FLIGHT_WARMUP or FLIGHT_PROBE where one is to be run now, else FLIGHT_PING. */
enum flight_kind scripts_due(const struct pool *pool, int64_t now_ms);

/* It has set out: from now on its time counts. */
void scripts_started(struct pool *pool, int64_t now_ms);

/*
 * The script in flight has overstayed its time: that is its answer. It stays in flight until FPM ends it, so that a script
 * that hangs holds one worker and never two.
 */
void scripts_check_late(struct pool *pool, int64_t now_ms);

void scripts_landed(struct pool *pool, const struct flight_result *result, int64_t probe_interval_ms, int64_t now_ms);

/* Nothing is known of them any more: another socket, or another FPM behind it. */
void scripts_forget(struct pool *pool);

#endif
