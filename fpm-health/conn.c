/* The life of a connection: states, deadlines, kept bytes; see conn.h. */
#define _GNU_SOURCE
#include "conn.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t state_ms[CONN_STATES] = {
    [CONN_IDLE] = SERVER_IDLE_MS,
    [CONN_HEAD] = SERVER_HEAD_MS,
    [CONN_WRITING] = SERVER_WRITE_MS,
    [CONN_LAST] = SERVER_WRITE_MS,
    [CONN_LINGER] = SERVER_LINGER_MS,
    [CONN_AGENT] = AGENT_WAIT_MS,
};

static void unlink_conn(struct conn *c)
{
    struct conn_queue *q = &c->server->queues[c->state];
    *(c->previous ? &c->previous->next : &q->first) = c->next;
    *(c->next ? &c->next->previous : &q->last) = c->previous;
}

void conn_enter(struct conn *c, enum conn_state state)
{
    struct server *s = c->server;
    if (c->state != CONN_CLOSED) {
        unlink_conn(c);
    }
    struct conn_queue *q = &s->queues[state];
    c->state = state;
    c->due_ms = s->loop->now_ms + state_ms[state];
    c->previous = q->last;
    c->next = NULL;
    *(q->last ? &q->last->next : &q->first) = c;
    q->last = c;
    /* an earlier timer finds nothing due and sets itself again: that is cheaper than moving it for each answer */
    if (!s->timer.place || c->due_ms < s->timer.due_ms) {
        loop_set(s->loop, &s->timer, c->due_ms);
    }
}

void conn_drop(struct server *s, struct bytes *b)
{
    if (b->at) {
        s->held_bytes -= b->length;
        free(b->at);
        *b = (struct bytes){0};
    }
}

bool conn_keep(struct server *s, struct bytes *b, const char *at, size_t length, const char *more, size_t more_length)
{
    size_t whole = length + more_length;
    char *copy = s->held_bytes + whole <= SERVER_HELD_MAX_BYTES ? malloc(whole ? whole : 1) : NULL;
    if (!copy) {
        return false;
    }
    memcpy(copy, at, length);
    memcpy(copy + length, more, more_length);
    conn_drop(s, b);
    *b = (struct bytes){copy, whole, 0};
    s->held_bytes += whole;
    return true;
}

void conn_close(struct conn *c)
{
    struct server *s = c->server;
    unlink_conn(c);
    c->state = CONN_CLOSED;
    loop_forget(s->loop, &c->io);
    close(c->io.fd); /* epoll forgets it with its last descriptor */
    conn_drop(s, &c->in);
    conn_drop(s, &c->out);
    c->next = s->spare;
    s->spare = c;
    s->count--;
}

void conn_expire(struct loop_timer *timer)
{
    struct server *s = container_of(timer, struct server, timer);
    int64_t next_ms = INT64_MAX;
    for (int state = 0; state < CONN_STATES; state++) {
        struct conn *c;
        while ((c = s->queues[state].first) && c->due_ms <= s->loop->now_ms) {
            if (state == CONN_AGENT) {
                struct answer a = answers_agent(*s->answers, NULL, 0);
                (*a.count)++;
                send(c->io.fd, a.bytes, a.length, MSG_NOSIGNAL | MSG_DONTWAIT);
            }
            conn_close(c);
        }
        if (c && c->due_ms < next_ms) {
            next_ms = c->due_ms;
        }
    }
    if (next_ms != INT64_MAX) {
        loop_set(s->loop, &s->timer, next_ms);
    }
}

void conn_watch(struct conn *c, uint32_t events)
{
    int result = c->watched ? loop_change(c->server->loop, &c->io, events) : loop_add(c->server->loop, &c->io, events);
    c->watched = true;
    if (result == -1) {
        conn_close(c);
    }
}

void conn_await_input(struct conn *c)
{
    if (!c->watched) {
        conn_watch(c, EPOLLIN);
    }
}

struct conn *conn_take(struct server *s)
{
    if (s->count >= s->most) { /* full: the one that has been idle the longest makes room */
        for (int state = 0; state < CONN_STATES && s->count >= s->most; state++) {
            if (s->queues[state].first) {
                conn_close(s->queues[state].first);
            }
        }
    }
    struct conn *c = s->spare;
    if (c) {
        s->spare = c->next;
    } else {
        c = malloc(sizeof *c);
    }
    return c;
}
