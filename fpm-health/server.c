/* Listeners, and the server as a whole; see server.h. */
#define _GNU_SOURCE
#include "server.h"

#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The socket's mode says the same; this holds whoever may have got hold of a descriptor or the directory. */
static bool may_control(const struct server *s, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
        (peer.uid == 0 || peer.uid == s->control_user);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
    struct listener *l = container_of(io, struct listener, io);
    struct server *s = l->server;
    (void)events;
    for (int i = 0; i < SERVER_ACCEPT_BATCH && l->io.fd != -1; i++) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        peer.ss_family = AF_UNSPEC;
        int fd = accept4(l->io.fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1) {
            if ((errno == EMFILE || errno == ENFILE) && s->queues[CONN_IDLE].first) {
                conn_close(s->queues[CONN_IDLE].first);
                continue;
            }
            return;
        }
        if (l->kind == LISTENER_CONTROL && !may_control(s, fd)) {
            close(fd);
            continue;
        }
        exchange_begin(s, (enum listener_kind)l->kind, fd, &peer);
    }
}

/* As many connections as descriptors allow. */
static size_t connections_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        return SERVER_RESERVED_FDS;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t most = limit.rlim_max > 2 * SERVER_RESERVED_FDS ? limit.rlim_max - SERVER_RESERVED_FDS : SERVER_RESERVED_FDS;
    return most < SERVER_CONNECTIONS_MAX ? (size_t)most : SERVER_CONNECTIONS_MAX;
}

struct server *server_create(struct loop *loop, struct answers **answers, control_handler *control, void *context)
{
    struct server *s = calloc(1, sizeof *s);
    char *body = malloc(SERVER_INPUT_BYTES);
    if (!s || !body) {
        free(s);
        free(body);
        return NULL;
    }
    s->loop = loop;
    s->answers = answers;
    s->control = control;
    s->context = context;
    s->control_body = body;
    s->most = connections_most();
    s->timer.fire = conn_expire;
    for (int i = 0; i < SERVER_LISTENERS_MAX; i++) {
        s->listeners[i].io = (struct loop_io){-1, on_listener};
        s->listeners[i].server = s;
    }
    return s;
}

void server_destroy(struct server *s)
{
    for (int state = 0; state < CONN_STATES; state++) {
        while (s->queues[state].first) {
            conn_close(s->queues[state].first);
        }
    }
    for (struct conn *c = s->spare, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    for (int kind = LISTENER_HTTP; kind <= LISTENER_CONTROL; kind++) {
        server_unlisten(s, (enum listener_kind)kind);
    }
    loop_clear(s->loop, &s->timer);
    free(s->control_body);
    free(s);
}

int server_listen(struct server *s, enum listener_kind kind, const char *address, char *shown, size_t room)
{
    for (int i = 0; i < SERVER_LISTENERS_MAX; i++) {
        struct listener *l = &s->listeners[i];
        if (l->io.fd == -1) {
            if (listener_open(l, address, kind == LISTENER_CONTROL ? 0600 : 0666, shown, room) == -1) {
                return -1;
            }
            l->kind = (int)kind;
            if (kind == LISTENER_HTTP) {
                /* a connection is accepted with its request, so that one read finds it; TCP alone knows this */
                setsockopt(l->io.fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){SERVER_DEFER_S}, sizeof(int));
            }
            if (loop_add(s->loop, &l->io, EPOLLIN) == -1) {
                listener_close(l);
                return -1;
            }
            return 0;
        }
    }
    errno = EMFILE;
    return -1;
}

void server_control_of(struct server *s, uid_t user)
{
    s->control_user = user;
}

void server_unlisten(struct server *s, enum listener_kind kind)
{
    for (int i = 0; i < SERVER_LISTENERS_MAX; i++) {
        struct listener *l = &s->listeners[i];
        if (l->io.fd != -1 && l->kind == (int)kind) {
            loop_remove(s->loop, &l->io);
            listener_close(l);
        }
    }
}

struct probers *server_probers(struct server *s)
{
    return &s->probers;
}
