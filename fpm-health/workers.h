/* FPM's workers by pid: which pool each belongs to, and how they spend their time when a pool is stuck. */
#ifndef FPM_HEALTH_WORKERS_H
#define FPM_HEALTH_WORKERS_H

#include "instance.h"
#include "procfs.h"

struct worker {
    pid_t pid;
    struct pool *pool;         /* NULL: not known (yet), or none of ours */
    uint32_t looks;            /* at its title, while it was not known */
    struct worker_state state; /* at the last look */
};

struct workers {
    struct worker *all; /* sorted by pid */
    size_t count;
    bool known;   /* the last scan succeeded */
    pid_t parent; /* whose children they are; 0: none yet */
    int list_fd;  /* the list of them, where there is a parent */
};

/* Scans the master's children and counts them in their pools; titles are read only of new ones. */
void workers_scan(struct workers *workers, struct instance *instance);

/* Forgets them and whose they are: pools have changed, or nobody looks any more. */
void workers_forget(struct workers *workers);

/*
 * Whether all of the pool's workers are stopped; and where `window_over`, whether since the last time that was so all of
 * them used CPU without sleeping once (else *all_burning stays as it is).
 */
void workers_look(
    struct workers *workers, const struct pool *pool, bool window_over, bool *all_stopped, bool *all_burning);

#endif
