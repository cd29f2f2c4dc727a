/* The event loop; see loop.h. */
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int64_t loop_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int loop_init(struct loop *loop)
{
    *loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .now_ms = loop_clock_ms()};
    return loop->epoll_fd == -1 ? -1 : 0;
}

void loop_fini(struct loop *loop)
{
    free(loop->heap);
    close(loop->epoll_fd);
    *loop = (struct loop){.epoll_fd = -1};
}

int loop_add(struct loop *loop, struct loop_io *io, uint32_t events)
{
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, io->fd, &(struct epoll_event){.events = events, .data.ptr = io});
}

int loop_change(struct loop *loop, struct loop_io *io, uint32_t events)
{
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &(struct epoll_event){.events = events, .data.ptr = io});
}

void loop_forget(struct loop *loop, const struct loop_io *io)
{
    for (int i = loop->event_next; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == io) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

void loop_remove(struct loop *loop, struct loop_io *io)
{
    loop_forget(loop, io);
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
}

static void put(struct loop *loop, size_t place, struct loop_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift(struct loop *loop, size_t place, struct loop_timer *timer)
{
    while (place > 1 && loop->heap[place / 2]->due_ms > timer->due_ms) {
        put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child < loop->timer_count && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms) {
            child++;
        }
        if (child > loop->timer_count || loop->heap[child]->due_ms >= timer->due_ms) {
            break;
        }
        put(loop, place, loop->heap[child]);
        place = child;
    }
    put(loop, place, timer);
}

void loop_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (!timer->place) {
        if (loop->timer_count + 2 > loop->timer_room) {
            size_t room = loop->timer_room ? loop->timer_room * 2 : 32;
            struct loop_timer **heap = realloc(loop->heap, room * sizeof(struct loop_timer *));
            if (!heap) {
                return;
            }
            loop->heap = heap;
            loop->timer_room = room;
        }
        put(loop, ++loop->timer_count, timer);
    }
    sift(loop, timer->place, timer);
}

void loop_clear(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->place) {
        return;
    }
    struct loop_timer *last = loop->heap[loop->timer_count--];
    if (last != timer) {
        put(loop, timer->place, last);
        sift(loop, timer->place, last);
    }
    timer->place = 0;
}

static void fire(struct loop *loop, struct loop_timer *timer)
{
    loop_clear(loop, timer);
    timer->fire(timer);
}

static void catch_up(struct loop *loop)
{
    bool late = loop->timer_count && loop->now_ms - loop->heap[1]->due_ms >= STANDSTILL_MS;
    if (late && loop->first && loop->first->place) {
        fire(loop, loop->first);
    }
}

static void fire_due(struct loop *loop)
{
    /* only what was due when the turn began: a timer that sets itself to now can't hold the loop */
    while (loop->timer_count && loop->heap[1]->due_ms <= loop->now_ms) {
        fire(loop, loop->heap[1]);
    }
}

int loop_turn(struct loop *loop)
{
    int wait_ms = -1;
    if (loop->timer_count) {
        int64_t left = loop->heap[1]->due_ms - loop_clock_ms();
        wait_ms = left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
    }
    int n = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS, wait_ms);
    if (n == -1 && errno != EINTR) {
        return -1;
    }
    loop->now_ms = loop_clock_ms();
    loop->event_count = n > 0 ? n : 0;
    loop->event_next = 0;
    catch_up(loop);
    while (loop->event_next < loop->event_count) {
        struct epoll_event *event = &loop->events[loop->event_next++];
        struct loop_io *io = event->data.ptr;
        if (io) {
            io->ready(io, event->events);
        }
    }
    loop->event_count = 0;
    fire_due(loop);
    return 0;
}
