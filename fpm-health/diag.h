/* Listening sockets as the kernel sees them (NETLINK_SOCK_DIAG): true queue and its maximum, unix and TCP, without any right. */
#ifndef FPM_HEALTH_DIAG_H
#define FPM_HEALTH_DIAG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct diag_socket {
    int family;       /* AF_UNIX, AF_INET, AF_INET6 */
    bool listening;   /* else connected */
    const char *path; /* AF_UNIX: its name; not ended by NUL */
    size_t path_length;
    uint16_t port;
    uint8_t ip[16];            /* 4 of them for AF_INET */
    uint32_t queue, queue_max; /* of a listening one */
};

typedef void diag_each(void *context, const struct diag_socket *socket);

struct diag {
    int fd;          /* -1: the kernel can't be asked */
    bool unfinished; /* the last dump was given up, and the rest of it is in the way */
};

struct diag diag_open(void);
void diag_close(struct diag *diag);

/*
 * Calls `each` for every listening socket of `family`, and when `connected` is set for every one that was accepted from
 * some listener, whose name or port it has. Returns 0, or -1 when the kernel gave no complete answer.
 */
int diag_dump(struct diag *diag, int family, bool connected, diag_each *each, void *context);

/*
 * Reads one reply of a dump; pure, and trusts no length in it. Returns 1 when the dump is complete, 0 when more follow, -1
 * on an error in it.
 */
int diag_parse(const void *reply, size_t length, int family, diag_each *each, void *context);

#endif
