/* The planned stop; see drain.h. */
#include "drain.h"

#include "bounds.h"

void drain_begin(struct drain *d, int64_t now_ms)
{
    if (d->phase == DRAIN_NONE) {
        *d = (struct drain){.phase = DRAIN_TELLING, .asked_ms = now_ms};
    }
}

/* A Consul that does not answer can't be told: the load balancers then see it by themselves, or not at all. */
static enum drain_phase tell(struct drain *d, const struct drain_view *v, int64_t now_ms)
{
    if (!v->consul_told && now_ms - d->asked_ms < DRAIN_ACK_MS) {
        return DRAIN_TELLING;
    }
    d->told_ms = now_ms;
    return DRAIN_SETTLING;
}

static enum drain_phase settle(
    const struct drain *d, const struct drain_policy *p, const struct drain_view *v, int64_t now_ms)
{
    int64_t quiet_since_ms = v->busy_ms > d->told_ms ? v->busy_ms : d->told_ms;
    bool heard = v->probers_told || now_ms - d->asked_ms >= p->probers_ms;
    return heard && now_ms - quiet_since_ms >= p->quiet_ms ? DRAIN_QUIET : DRAIN_SETTLING;
}

bool drain_step(struct drain *d, const struct drain_policy *p, const struct drain_view *v, int64_t now_ms)
{
    if (d->phase == DRAIN_TELLING) {
        d->phase = tell(d, v, now_ms);
    }
    if (d->phase == DRAIN_SETTLING) {
        d->phase = settle(d, p, v, now_ms);
    }
    if ((d->phase == DRAIN_TELLING || d->phase == DRAIN_SETTLING) && now_ms - d->asked_ms >= p->timeout_ms) {
        d->phase = DRAIN_OVERDUE;
    }
    return d->phase == DRAIN_QUIET || d->phase == DRAIN_OVERDUE;
}

const char *drain_phase_name(enum drain_phase phase)
{
    static const char *const names[] = {"none", "telling", "settling", "quiet", "overdue"};
    return names[phase];
}
