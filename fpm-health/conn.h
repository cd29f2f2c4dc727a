/*
 * A connection, whoever is at its other end, and the server that owns it: shared by conn.c (its life), exchange.c (what is
 * said on it) and server.c (where it comes from).
 *
 * A connection is always in one state, and each state but CLOSED has a queue ordered by deadline, for it has one length.
 */
#ifndef FPM_HEALTH_CONN_H
#define FPM_HEALTH_CONN_H

#include <sys/socket.h>

#include "bounds.h"
#include "listener.h"
#include "server.h"

enum conn_state {
    CONN_IDLE,    /* between requests */
    CONN_HEAD,    /* a request has begun */
    CONN_WRITING, /* the peer takes its answers slowly */
    CONN_LAST,    /* the same, and closed after it */
    CONN_LINGER,  /* all said; reads on, so that unread bytes don't turn our answer into a reset */
    CONN_AGENT,   /* agent-check: may still name a pool */
    CONN_STATES,
    CONN_CLOSED = CONN_STATES
};

struct bytes {
    char *at; /* NULL: none */
    size_t length, done;
};

struct conn {
    struct loop_io io;
    struct server *server;
    enum conn_state state;
    enum listener_kind kind;
    bool watched; /* by epoll */
    int64_t due_ms;
    uint64_t peer;
    struct bytes in, out; /* a request that is not whole, answers that are not sent */
    struct conn *next, *previous;
};

struct conn_queue {
    struct conn *first, *last;
};

/* The request that was read last: probers ask the same over and over, word for word. */
struct known_request {
    char bytes[SERVER_KNOWN_BYTES];
    size_t length;              /* 0: none */
    struct http_request parsed; /* points into `bytes` */
};

struct server {
    struct loop *loop;
    struct answers **answers;
    control_handler *control;
    void *context;
    uid_t control_user; /* who may use control.sock, beside root */
    struct listener listeners[SERVER_LISTENERS_MAX];
    struct conn_queue queues[CONN_STATES];
    struct conn *spare; /* singly linked by next */
    size_t count, most;
    size_t held_bytes;
    struct loop_timer timer;
    struct probers probers;
    struct known_request known;
    char *control_body;
    char input[SERVER_INPUT_BYTES];
    char output[SERVER_OUTPUT_BYTES];
    size_t output_length;
};

/* conn.c */

/* A connection for `kind` in no state yet; when all are taken, the one that has been idle the longest makes room. NULL: out of memory. */
struct conn *conn_take(struct server *server);

/* Enters a state anew: its deadline counts from now. */
void conn_enter(struct conn *conn, enum conn_state state);
void conn_close(struct conn *conn);

/* Asks epoll for `events`; conn_await_input() for EPOLLIN, once. */
void conn_watch(struct conn *conn, uint32_t events);
void conn_await_input(struct conn *conn);

/* Keeps a copy of one and what follows it; false when there is no memory, or too much is held already. */
bool conn_keep(
    struct server *server, struct bytes *kept, const char *at, size_t length, const char *more, size_t more_length);
void conn_drop(struct server *server, struct bytes *kept);

/* The server's timer: closes what is overdue. */
void conn_expire(struct loop_timer *timer);

/* exchange.c: serves a connection that was just accepted, from its first byte to its end. */
void exchange_begin(struct server *server, enum listener_kind kind, int fd, const struct sockaddr_storage *peer);

#endif
