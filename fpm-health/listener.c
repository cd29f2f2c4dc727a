/* Our listeners; see listener.h. */
#define _GNU_SOURCE
#include "listener.h"

#include "address.h"
#include "bounds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int listen_unix(const char *path, mode_t mode)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) { /* a dead one: who lives has the lock of the run_dir */
        unlink(path);
    }
    mode_t old = umask(0777 & ~mode);
    int result = bind(fd, (struct sockaddr *)&a, sizeof a);
    umask(old);
    if (result == -1 || listen(fd, SERVER_BACKLOG) == -1) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Binds to the wildcard as `a` says it; connecting and listening differ there. */
static int bind_tcp(int fd, const struct address *a, uint16_t port)
{
    struct address to = *a;
    if (a->to.any.sa_family == AF_INET6) {
        to.to.v6.sin6_addr = a->wildcard ? in6addr_any : to.to.v6.sin6_addr;
        to.to.v6.sin6_port = htons(port);
    } else {
        to.to.v4.sin_addr.s_addr = a->wildcard ? htonl(INADDR_ANY) : to.to.v4.sin_addr.s_addr;
        to.to.v4.sin_port = htons(port);
    }
    return bind(fd, &to.to.any, to.length);
}

static int listen_tcp(const struct address *a, uint16_t *port)
{
    int fd = socket(a->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    int on = 1, unread = SERVER_UNREAD_BYTES, result = -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* inherited by what is accepted; left alone, the kernel would take megabytes from each who asks and never reads */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &unread, sizeof unread);
    for (int i = 0; i < SERVER_PORT_TRIES && result == -1 && a->port + i <= 65535; i++) {
        *port = (uint16_t)(a->port + i);
        result = bind_tcp(fd, a, *port);
        if (result == -1 && errno != EADDRINUSE) {
            break;
        }
        result = result == 0 ? listen(fd, SERVER_BACKLOG) : -1;
    }
    if (result == -1) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int listener_open(struct listener *l, const char *text, mode_t mode, char *shown, size_t room)
{
    l->path[0] = '\0';
    if (strncmp(text, "unix:", 5) == 0) {
        l->io.fd = listen_unix(text + 5, mode);
        if (l->io.fd == -1) {
            return -1;
        }
        strcpy(l->path, text + 5);
        snprintf(shown, room, "%s", text);
        return 0;
    }
    struct address a;
    const char *why;
    uint16_t port;
    char ip[INET6_ADDRSTRLEN];
    if (address_parse(&a, text[0] == ':' ? text + 1 : text, &why) == -1 || address_is_unix(&a)) {
        errno = EINVAL;
        return -1;
    }
    l->io.fd = listen_tcp(&a, &port);
    if (l->io.fd == -1) {
        return -1;
    }
    bool v6 = a.to.any.sa_family == AF_INET6;
    address_ip(&a, ip);
    snprintf(shown, room, "%s%s%s:%u", v6 ? "[" : "", a.wildcard ? (v6 ? "::" : "0.0.0.0") : ip, v6 ? "]" : "", port);
    return 0;
}

void listener_close(struct listener *l)
{
    close(l->io.fd);
    l->io.fd = -1;
    if (l->path[0]) {
        unlink(l->path);
    }
}
