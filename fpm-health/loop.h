/* One epoll loop: file descriptors, timers in a heap, and a clock that is read once a turn. */
#ifndef FPM_HEALTH_LOOP_H
#define FPM_HEALTH_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "bounds.h"

static inline void *loop_owner(void *member, size_t offset)
{
    return (char *)member - offset;
}

/* The struct of `type` that `ptr` is the `member` of. */
#define container_of(ptr, type, member) ((type *)loop_owner(ptr, offsetof(type, member)))

/* Embedded in what owns the fd. `ready` may remove any other, also itself. */
struct loop_io {
    int fd;
    void (*ready)(struct loop_io *io, uint32_t events);
};

/* Embedded in its owner. All zero but for `fire`: not set. */
struct loop_timer {
    int64_t due_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct loop_timer *timer);
};

struct loop {
    int epoll_fd;
    int64_t now_ms; /* CLOCK_MONOTONIC when this turn began */
    struct epoll_event events[LOOP_EVENTS];
    int event_count, event_next;
    struct loop_timer **heap;
    size_t timer_count, timer_room;
    struct loop_timer *first; /* after the process stood still, fired before anybody is served; NULL: none */
};

/* Returns 0, or -1 with errno. */
int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* epoll_ctl's ADD, MOD, DEL. The first two return 0, or -1 with errno. */
int loop_add(struct loop *loop, struct loop_io *io, uint32_t events);
int loop_change(struct loop *loop, struct loop_io *io, uint32_t events);
void loop_remove(struct loop *loop, struct loop_io *io);

/* Forgets events of `io` that are still to be dispatched in this turn; for a caller who closes the fd himself. */
void loop_forget(struct loop *loop, const struct loop_io *io);

/* Sets or moves a timer. It fires once. Out of memory: it fires never, which its callers survive. */
void loop_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms);
void loop_clear(struct loop *loop, struct loop_timer *timer);

/* When it is next `offset_ms` after a multiple of `every_ms`: what has its place in a turn keeps it, however late it was. */
static inline int64_t loop_next_turn_ms(const struct loop *loop, int64_t every_ms, int64_t offset_ms)
{
    return loop->now_ms + every_ms - (loop->now_ms + every_ms - offset_ms) % every_ms;
}

/* Waits for the next event or timer and serves what is due. Returns 0, or -1 with errno. */
int loop_turn(struct loop *loop);

int64_t loop_clock_ms(void);

#endif
