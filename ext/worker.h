/* The worker's side: which pool it serves, its slot, and the few stores that a request costs. */
#ifndef SVCREG_WORKER_H
#define SVCREG_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "SAPI.h"
#include "board.h"
#include "fpm_config.h"

/* One of a process. All zero outside a worker. */
struct worker {
    bool forked;                  /* this is a worker: FPM forked it */
    bool joined;                  /* its pool was looked for */
    struct board_slot *slot;      /* NULL: not counted */
    struct board_pool *pool;      /* NULL: pool unknown */
    size_t index;                 /* of the pool, in configuration and board */
    const _Atomic uint32_t *stop; /* the board's enum board_stop; NULL outside a worker */
};

extern struct worker svcreg_worker;

/* Called in the child of FPM's fork. `config` and `board` stay the caller's and are used until the process ends. */
void worker_begin(struct board *board, const struct fpm_config *config, int doorbell_fd);

/* A child of a worker (pcntl_fork): it is no worker, and must leave the parent's slot alone. */
void worker_disown(void);

/* Finds the pool and takes a slot; what a worker's first request does. Harmless and quick when done already. */
void worker_join(void);

/* The pool's name, or NULL outside a worker. */
const char *worker_pool_name(void);

/* svcreg_ready() and svcreg_unready(): false outside a worker. `reason` may be NULL. */
bool worker_hold(enum board_hold hold, const char *reason);

/*
 * Around each request. From the stop signal on each answer has the header "Svcreg-State: draining", so that a balancer that knows it
 * sends the next request elsewhere, also while Consul is away.
 */
void worker_request_slow(void);
static inline void worker_count(struct board_slot *slot)
{
    uint64_t n = atomic_load_explicit(&slot->requests, memory_order_relaxed);
    atomic_store_explicit(&slot->requests, n + 1, memory_order_relaxed);
    atomic_store_explicit(&slot->busy, 1, memory_order_release);
}

static inline void worker_request_begin(void)
{
    const struct worker *w = &svcreg_worker;
    /* the first request, no FPM, what may be a ping, or a drain */
    if (!w->slot || !SG(request_info).path_translated ||
        atomic_load_explicit(w->stop, memory_order_relaxed) != BOARD_RUN) {
        worker_request_slow();
        return;
    }
    worker_count(w->slot);
}

static inline void worker_request_end(void)
{
    if (svcreg_worker.slot) {
        atomic_store_explicit(&svcreg_worker.slot->busy, 0, memory_order_release);
    }
}

#endif
