/* Looks at the pools: board, kernel, /proc, FastCGI. Fills pool->sample; what follows from it is for others. */
#ifndef FPM_HEALTH_SAMPLER_H
#define FPM_HEALTH_SAMPLER_H

#include "instance.h"
#include "loop.h"

struct sampler;

/* Called after each look: the pool's sample is fresh, or where `pool` is NULL those of all. */
typedef void sampler_looked(void *context, struct pool *pool);

/* `board` may be unmapped (map NULL): then there is none. NULL: out of memory. */
struct sampler *sampler_create(
    struct loop *loop, struct instance *in, struct board *board, sampler_looked *looked, void *context);
void sampler_destroy(struct sampler *sampler);

/* The pools of the instance have changed: resolves their addresses and looks at once. */
void sampler_retarget(struct sampler *sampler);

/* A pool is about to vanish. */
void sampler_release(struct sampler *sampler, struct pool *pool);

/* Reads the board alone: a few memory accesses. */
void sampler_look_at_board(struct sampler *sampler);

/* Looks at everything now, and often from now on until nothing is in the making. */
void sampler_hurry(struct sampler *sampler);

/* Whether the board is laid out for the pools we know; while it is not, a reload is under way. */
bool sampler_board_fits(const struct instance *in, const struct board *board);

#endif
