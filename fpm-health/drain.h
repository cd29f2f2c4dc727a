/*
 * A planned stop, as a state machine: every mouth says drain, then FPM keeps serving until nobody comes any more, then it
 * may go. Pure: what was seen and the clock are passed in.
 */
#ifndef FPM_HEALTH_DRAIN_H
#define FPM_HEALTH_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum drain_phase {
    DRAIN_NONE,
    DRAIN_TELLING,  /* Consul has not taken note yet */
    DRAIN_SETTLING, /* it has; waiting for quiet and for the probers */
    DRAIN_QUIET,    /* done: nothing is lost by a stop now */
    DRAIN_OVERDUE   /* done: the deadline passed first */
};

struct drain_policy {
    int64_t quiet_ms, probers_ms, timeout_ms;
};

struct drain_view {
    bool consul_told;  /* or there is none */
    bool probers_told; /* each recent one has fetched the drain answer */
    int64_t busy_ms;   /* when anything was last seen active, queued or accepted */
};

struct drain {
    enum drain_phase phase;
    int64_t asked_ms, told_ms;
};

/* Begins at `now_ms`; harmless when it has begun already. */
void drain_begin(struct drain *drain, int64_t now_ms);

/* Goes as far as `view` allows. Returns true once it is done (and from then on). */
bool drain_step(struct drain *drain, const struct drain_policy *policy, const struct drain_view *view, int64_t now_ms);

const char *drain_phase_name(enum drain_phase phase);

#endif
