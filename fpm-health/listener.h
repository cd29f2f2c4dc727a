/* Listening sockets of our own. */
#ifndef FPM_HEALTH_LISTENER_H
#define FPM_HEALTH_LISTENER_H

#include <stddef.h>
#include <sys/types.h>

#include "loop.h"

struct server;

struct listener {
    struct loop_io io; /* fd -1: unused */
    struct server *server;
    int kind;
    char path[108]; /* of a unix socket, removed on close; else empty */
};

/* Opens `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:/path` (then with `mode`). Returns 0, or -1 with errno. */
int listener_open(struct listener *listener, const char *address, mode_t mode, char *shown, size_t room);
void listener_close(struct listener *listener);

#endif
