#include "php_svcreg.h"
#include "SAPI.h"
#include "worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_FD_LOOKED_AT = 65536 };

struct worker svcreg_worker;

/* What worker_begin() was given; the master owns it, this process has its copy. */
static struct board *board;
static const struct fpm_config *fpm;
static int doorbell = -1;

void worker_begin(struct board *shared, const struct fpm_config *config, int doorbell_fd)
{
    board = shared;
    fpm = config;
    doorbell = doorbell_fd;
    svcreg_worker = (struct worker){.forked = true, .stop = &board_header(shared)->stop};
}

void worker_disown(void)
{
    svcreg_worker.slot = NULL;
    svcreg_worker.joined = true; /* and never takes one of its own */
}

/* FPM closes all listening sockets in a worker but its pool's. No /proc: the worker may be in a chroot. */
static int listening_fd(void)
{
    for (int fd = 0; fd < MAX_FD_LOOKED_AT; fd++) {
        int listening = 0;
        socklen_t length = sizeof listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening) {
            return fd;
        }
    }
    return -1;
}

/* The listening socket's address in the form of fpm_pool.listen; *port and *any tell a wildcard. */
static bool own_listen(char *out, size_t bytes, unsigned *port, bool *any)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } a = {0};
    socklen_t length = sizeof a;
    char host[INET6_ADDRSTRLEN];

    *port = 0;
    *any = false;
    if (getsockname(listening_fd(), &a.sa, &length) == -1) {
        return false;
    }
    switch (a.sa.sa_family) {
    case AF_UNIX: snprintf(out, bytes, "%s", a.un.sun_path); return true;
    case AF_INET:
        *port = ntohs(a.in.sin_port);
        *any = a.in.sin_addr.s_addr == htonl(INADDR_ANY);
        snprintf(out, bytes, "%s:%u", inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof host), *port);
        return true;
    case AF_INET6:
        *port = ntohs(a.in6.sin6_port);
        *any = IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr);
        snprintf(out, bytes, "[%s]:%u", inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof host), *port);
        return true;
    default: return false;
    }
}

/* Brings "[0::1]:9000" and the like into inet_ntop's spelling. False where `listen` is no literal IPv6 address. */
static bool respell_ipv6(const char *listen, char *out, size_t bytes)
{
    struct in6_addr address;
    char host[INET6_ADDRSTRLEN];
    const char *close = strchr(listen, ']');
    if (*listen != '[' || !close || (size_t)(close - listen) > sizeof host) {
        return false;
    }
    snprintf(host, sizeof host, "%.*s", (int)(close - listen - 1), listen + 1);
    if (inet_pton(AF_INET6, host, &address) != 1) {
        return false;
    }
    snprintf(out, bytes, "[%s]%s", inet_ntop(AF_INET6, &address, host, sizeof host), close + 1);
    return true;
}

static bool is_own(const char *listen, const char *own, unsigned port, bool any, bool exact)
{
    char spelt[INET6_ADDRSTRLEN + 16];
    if (strcmp(listen, own) == 0 || (respell_ipv6(listen, spelt, sizeof spelt) && strcmp(spelt, own) == 0)) {
        return true;
    }
    const char *colon = *listen == '/' ? NULL : strrchr(listen, ':');
    if (!colon || strtoul(colon + 1, NULL, 10) != port) {
        return false;
    }
    return exact ? any && *listen == '*' : true; /* else a host's name: its port must do */
}

static size_t find_pool(void)
{
    char own[sizeof(struct sockaddr_un)];
    unsigned port;
    bool any;
    if (!own_listen(own, sizeof own, &port, &any)) {
        return fpm->count;
    }
    for (int exact = 1; exact >= 0; exact--) {
        for (size_t i = 0; i < fpm->count; i++) {
            if (is_own(fpm->pools[i].listen, own, port, any, exact)) {
                return i;
            }
        }
    }
    return fpm->count; /* the hidden pool of pm.status_listen */
}

void worker_join(void)
{
    struct worker *w = &svcreg_worker;
    if (!w->forked || w->joined) {
        return;
    }
    w->joined = true;
    w->index = find_pool();
    uint32_t slots;
    w->pool = board_pool(board, w->index, &slots);
    if (w->pool) {
        w->slot = board_slot_claim(w->pool, slots, getpid());
    }
    board_keep_only(board, w->pool, slots);
}

/* fpm-health marks its pings; they reach PHP without a script, so nothing else needs the look. */
static bool is_ping(void)
{
    return !SG(request_info).path_translated && sapi_module.getenv && sapi_module.getenv("SVCREG_PING", 11);
}

static void say_draining(void)
{
    static const char line[] = "Svcreg-State: draining";
    sapi_header_line header = {.line = line, .line_len = sizeof line - 1};
    sapi_header_op(SAPI_HEADER_REPLACE, &header);
}

void worker_request_slow(void)
{
    struct worker *w = &svcreg_worker;
    worker_join();
    if (w->slot && !is_ping()) {
        worker_count(w->slot);
    }
    if (w->stop && atomic_load_explicit(w->stop, memory_order_relaxed) != BOARD_RUN) {
        say_draining();
    }
}

const char *worker_pool_name(void)
{
    worker_join();
    const struct worker *w = &svcreg_worker;
    return w->forked && w->index < fpm->count ? fpm->pools[w->index].name : NULL;
}

bool worker_hold(enum board_hold hold, const char *reason)
{
    worker_join();
    struct board_pool *pool = svcreg_worker.pool;
    if (!pool) {
        return false;
    }
    board_text_set(&pool->hold_reason, reason ? reason : "");
    atomic_store_explicit(&pool->hold, hold, memory_order_release);
    board_ring(doorbell);
    return true;
}
