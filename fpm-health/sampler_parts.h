/*
 * The sampler as a whole: shared by sampler.c (when to look, and at what), sampler_kernel.c (listening sockets), and
 * sampler_fastcgi.c (what FPM itself says).
 */
#ifndef FPM_HEALTH_SAMPLER_PARTS_H
#define FPM_HEALTH_SAMPLER_PARTS_H

#include "diag.h"
#include "sampler.h"
#include "workers.h"

struct sampler {
    struct loop *loop;
    struct instance *in;
    struct board *board;
    sampler_looked *looked;
    void *context;
    struct loop_timer tick;
    struct diag diag;
    struct pool **by_listen; /* local pools: unix ones by path, then TCP ones by port */
    size_t listen_count;
    bool any_unix, any_tcp;
    struct workers workers;
    size_t flights, doubtful; /* in flight; those to pools that failed last time */
    size_t turn;              /* the pool whose turn it is to be asked */
    int64_t hurried_ms;       /* when the last reason to hurry came up */
    int64_t window_began_ms;  /* of BURN_LOOK_MS, at whose end it is seen who burned all the time */
};

/* Tells who wants to know that the pool's sample has changed, or where `pool` is NULL those of all. */
void sampler_finish_look(struct sampler *sampler, struct pool *pool);

/* sampler_kernel.c: resolves the pools' addresses; asks for their sockets, and returns whether all answers were complete. */
void sampler_locate(struct sampler *sampler);
bool sampler_ask_kernel(struct sampler *sampler);

/* sampler_fastcgi.c: sends what is due, as far as there is room. */
void sampler_ask_fastcgi(struct sampler *sampler);

/* Makes room: the pool's flight has landed or was cancelled. */
void sampler_flight_over(struct sampler *sampler, struct pool *pool);

#endif
