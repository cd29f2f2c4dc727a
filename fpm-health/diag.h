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

/* Opens the netlink socket. Returns the fd, or -1 with errno. */
int diag_open(void);

/*
 * Calls `each` for every listening socket of `family`, and when `connected` is set for every one that was accepted from
 * some listener, whose name or port it has. Returns 0, or -1 when the kernel gave no complete answer.
 */
int diag_dump(int fd, int family, bool connected, diag_each *each, void *context);

/*
 * Reads one reply of a dump; pure, and trusts no length in it. Returns 1 when the dump is complete, 0 when more follow, -1
 * on an error in it.
 */
int diag_parse(const void *reply, size_t length, int family, diag_each *each, void *context);

#endif
