/* Pools and the kernel's listening sockets; see sampler_parts.h. */
#define _GNU_SOURCE
#include "sampler_parts.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compare_listens(const void *a, const void *b)
{
    const struct address *x = &(*(struct pool *const *)a)->address, *y = &(*(struct pool *const *)b)->address;
    if (x->port != y->port) {
        return x->port < y->port ? -1 : 1;
    }
    return x->port ? 0 : strcmp(x->to.local.sun_path, y->to.local.sun_path);
}

/* An address is of this host when a socket can be bound to it. */
static bool is_local(const struct address *a)
{
    if (address_is_unix(a) || a->wildcard || address_is_loopback(a)) {
        return true;
    }
    struct address any_port = *a;
    if (a->to.any.sa_family == AF_INET6) {
        any_port.to.v6.sin6_port = 0;
    } else {
        any_port.to.v4.sin_port = 0;
    }
    int fd = socket(a->to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool local = fd != -1 && bind(fd, &any_port.to.any, any_port.length) == 0;
    if (fd != -1) {
        close(fd);
    }
    return local;
}

/* On our own host we come from the address that we connect to. FPM takes the list apart at commas alone: " ::1" is no address to it. */
static bool is_disallowed(const struct pool *p)
{
    const char *at = p->config->allowed_clients;
    char own[INET6_ADDRSTRLEN], one[INET6_ADDRSTRLEN];
    if (!*at || !p->local || address_is_unix(&p->address)) {
        return false;
    }
    address_ip(&p->address, own);
    for (size_t n; *at; at += n + (at[n] == ',')) {
        n = strcspn(at, ",");
        snprintf(one, sizeof one, "%.*s", (int)n, at);
        if (strcmp(one, own) == 0) {
            return false;
        }
    }
    return true;
}

static void locate(struct pool *p)
{
    const char *why = "";
    p->address_known = address_parse(&p->address, p->config->listen, &why) == 0;
    if (!p->address_known) {
        log_error("pool %s: listen %s: %s", p->config->name, p->config->listen, why);
        return;
    }
    p->local = is_local(&p->address);
    p->disallowed = is_disallowed(p);
    p->status_address = p->address;
    const char *status = p->config->status_listen;
    if (status[0] && address_parse(&p->status_address, status, &why) == -1) {
        log_error("pool %s: status_listen %s: %s", p->config->name, status, why);
        p->status_address = p->address;
    }
}

void sampler_locate(struct sampler *s)
{
    struct instance *in = s->in;
    struct pool **table = calloc(in->pool_count + 1, sizeof(struct pool *));
    free(s->by_listen);
    s->by_listen = table;
    s->listen_count = 0;
    s->any_unix = s->any_tcp = false;
    for (size_t i = 0; table && i < in->pool_count; i++) {
        struct pool *p = in->pools[i];
        locate(p);
        if (p->address_known && p->local) {
            table[s->listen_count++] = p;
            s->any_unix |= address_is_unix(&p->address);
            s->any_tcp |= !address_is_unix(&p->address);
        }
    }
    if (table) {
        qsort(table, s->listen_count, sizeof(struct pool *), compare_listens);
    }
}

static bool same_ip(const struct address *a, const struct diag_socket *k)
{
    static const uint8_t none[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    size_t length = k->family == AF_INET ? 4 : 16;
    if (a->wildcard) {
        return !k->listening || memcmp(k->ip, none, length) == 0;
    }
    if (a->to.any.sa_family == AF_INET6) {
        return k->family == AF_INET6 && memcmp(k->ip, &a->to.v6.sin6_addr, 16) == 0;
    }
    const uint8_t *v4 = k->family == AF_INET ? k->ip : memcmp(k->ip, mapped, 12) == 0 ? k->ip + 12 : NULL;
    return v4 && memcmp(v4, &a->to.v4.sin_addr, 4) == 0;
}

static bool same_listen(const struct address *a, const struct diag_socket *k)
{
    if (k->family == AF_UNIX) {
        return address_is_unix(a) && strlen(a->to.local.sun_path) == k->path_length &&
            memcmp(a->to.local.sun_path, k->path, k->path_length) == 0;
    }
    return a->port == k->port && same_ip(a, k);
}

/* The first of by_listen that is not before the socket. */
static size_t lower_bound(const struct sampler *s, const struct diag_socket *k)
{
    size_t low = 0, high = s->listen_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct address *a = &s->by_listen[middle]->address;
        int order = a->port != k->port ? (a->port < k->port ? -1 : 1) : 0;
        if (order == 0 && k->family == AF_UNIX) {
            size_t length = strlen(a->to.local.sun_path);
            order = memcmp(a->to.local.sun_path, k->path, length < k->path_length ? length : k->path_length);
            order = order ? order : (length > k->path_length) - (length < k->path_length);
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void on_socket(void *context, const struct diag_socket *k)
{
    struct sampler *s = context;
    for (size_t i = lower_bound(s, k); i < s->listen_count; i++) {
        struct pool *p = s->by_listen[i];
        if (k->family == AF_UNIX ? !same_listen(&p->address, k) : p->address.port != k->port) {
            break;
        }
        if (!same_listen(&p->address, k)) {
            continue;
        }
        if (!k->listening) {
            p->kernel.connected++;
        } else if (!p->kernel.listening || k->queue > p->kernel.queue) {
            p->kernel.listening = true;
            p->kernel.queue = k->queue;
            p->kernel.queue_max = k->queue_max;
        }
    }
}

/* Returns whether all of the kernel's answers were complete. */
bool sampler_ask_kernel(struct sampler *s)
{
    for (size_t i = 0; i < s->in->pool_count; i++) {
        memset(&s->in->pools[i]->kernel, 0, sizeof s->in->pools[i]->kernel);
    }
    /* without a board, connections tell how many workers are busy: FPM gives each a worker until it closes */
    bool connected = !s->board->map;
    return s->diag.fd != -1 && (!s->any_unix || diag_dump(&s->diag, AF_UNIX, connected, on_socket, s) == 0) &&
        (!s->any_tcp ||
            (diag_dump(&s->diag, AF_INET, connected, on_socket, s) == 0 &&
                diag_dump(&s->diag, AF_INET6, connected, on_socket, s) == 0));
}
