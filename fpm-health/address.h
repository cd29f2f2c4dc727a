/* Where a pool listens: the words of FPM's `listen`, as a socket address to connect to and to compare with. */
#ifndef FPM_HEALTH_ADDRESS_H
#define FPM_HEALTH_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    socklen_t length; /* of `to`; 0: unknown */
    bool wildcard;    /* any local address; `to` is then the loopback's */
    uint16_t port;    /* 0: a unix socket */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } to;
};

/* Reads `*:PORT`, `PORT`, `IPV4:PORT`, `[IPV6]:PORT`, `HOST:PORT` or `/path`. A HOST asks the resolver. Returns 0, or -1 with *why. */
int address_parse(struct address *address, const char *text, const char **why);

static inline bool address_is_unix(const struct address *a)
{
    return a->to.any.sa_family == AF_UNIX;
}

/* Whether it is 127/8 or ::1, and was written so. */
bool address_is_loopback(const struct address *a);

/* The IP in text form, without brackets or port; empty for a unix socket. */
void address_ip(const struct address *a, char out[static INET6_ADDRSTRLEN]);

#endif
