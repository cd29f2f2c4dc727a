/* Addresses; see address.h. */
#define _GNU_SOURCE
#include "address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *port)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n < 1 || n > 65535) {
        return -1;
    }
    *port = (uint16_t)n;
    return 0;
}

static int resolve(struct address *a, const char *host)
{
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        hints.ai_flags = 0;
        if (getaddrinfo(host, NULL, &hints, &found) != 0) {
            return -1;
        }
    }
    memcpy(&a->to, found->ai_addr, found->ai_addrlen);
    a->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static void set_port(struct address *a)
{
    if (a->to.any.sa_family == AF_INET6) {
        a->to.v6.sin6_port = htons(a->port);
    } else {
        a->to.v4.sin_port = htons(a->port);
    }
}

/* Replaces 0.0.0.0 and :: by the loopback of their family: one can't connect to "any". */
static void open_wildcard(struct address *a)
{
    if (a->to.any.sa_family == AF_INET && a->to.v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
        a->wildcard = true;
        a->to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (a->to.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->to.v6.sin6_addr)) {
        a->wildcard = true;
        a->to.v6.sin6_addr = in6addr_loopback;
    }
}

int address_parse(struct address *a, const char *text, const char **why)
{
    *a = (struct address){0};
    if (text[0] == '/') {
        if (strlen(text) >= sizeof a->to.local.sun_path) {
            *why = "path longer than a unix socket's may be";
            return -1;
        }
        a->to.local.sun_family = AF_UNIX;
        strcpy(a->to.local.sun_path, text);
        a->length = sizeof a->to.local;
        return 0;
    }
    const char *colon = strrchr(text, ':');
    if (parse_port(colon ? colon + 1 : text, &a->port) == -1) {
        *why = "no port from 1 to 65535 in it";
        return -1;
    }
    char host[256] = "0.0.0.0";
    if (colon && strncmp(text, "*:", 2) != 0) {
        size_t n = (size_t)(colon - text);
        bool brackets = n > 2 && text[0] == '[' && colon[-1] == ']';
        n -= brackets ? 2 : 0;
        if (n == 0 || n >= sizeof host) {
            *why = "no host in it";
            return -1;
        }
        memcpy(host, text + brackets, n);
        host[n] = '\0';
    }
    if (resolve(a, host) == -1) {
        *why = "host can't be resolved";
        return -1;
    }
    open_wildcard(a);
    set_port(a);
    return 0;
}

bool address_is_loopback(const struct address *a)
{
    if (a->wildcard) {
        return false;
    }
    return (a->to.any.sa_family == AF_INET && ntohl(a->to.v4.sin_addr.s_addr) >> 24 == 127) ||
        (a->to.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->to.v6.sin6_addr));
}

void address_ip(const struct address *a, char out[static INET6_ADDRSTRLEN])
{
    out[0] = '\0';
    if (a->to.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->to.v4.sin_addr, out, INET6_ADDRSTRLEN);
    } else if (a->to.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->to.v6.sin6_addr, out, INET6_ADDRSTRLEN);
    }
}
