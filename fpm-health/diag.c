/* NETLINK_SOCK_DIAG; see diag.h. */
#define _GNU_SOURCE
#include "diag.h"

#include "bounds.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

struct diag diag_open(void)
{
    return (struct diag){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG)};
}

void diag_close(struct diag *diag)
{
    if (diag->fd != -1) {
        close(diag->fd);
    }
    *diag = (struct diag){.fd = -1};
}

static int ask(int fd, int family, uint32_t states)
{
    struct {
        struct nlmsghdr head;
        union {
            struct inet_diag_req_v2 inet;
            struct unix_diag_req local;
        } body;
    } request = {.head = {.nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
    if (family == AF_UNIX) {
        request.body.local = (struct unix_diag_req){
            .sdiag_family = AF_UNIX, .udiag_states = states, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN};
        request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.body.local);
    } else {
        request.body.inet = (struct inet_diag_req_v2){
            .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
        request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.body.inet);
    }
    return send(fd, &request, request.head.nlmsg_len, 0) == -1 ? -1 : 0;
}

/* Finds an attribute in what follows a message's fixed part; its length in *length. */
static const void *attribute(const char *at, size_t left, uint16_t type, size_t *length)
{
    while (left >= sizeof(struct rtattr)) {
        struct rtattr a;
        memcpy(&a, at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > left) {
            break;
        }
        if (a.rta_type == type) {
            *length = a.rta_len - sizeof a;
            return at + sizeof a;
        }
        size_t step = RTA_ALIGN(a.rta_len);
        if (step > left) {
            break;
        }
        at += step;
        left -= step;
    }
    return NULL;
}

static void parse_unix(const char *at, size_t length, diag_each *each, void *context)
{
    struct unix_diag_msg m;
    struct unix_diag_rqlen queue = {0};
    size_t name_length = 0, queue_length = 0;
    if (length < sizeof m) {
        return;
    }
    memcpy(&m, at, sizeof m);
    const char *rest = at + NLMSG_ALIGN(sizeof m);
    size_t left = length > NLMSG_ALIGN(sizeof m) ? length - NLMSG_ALIGN(sizeof m) : 0;
    if (m.udiag_state != TCP_LISTEN && m.udiag_ino == 0) {
        return; /* in a listener's queue still: it gets its inode when it is accepted */
    }
    const char *name = attribute(rest, left, UNIX_DIAG_NAME, &name_length);
    const void *q = attribute(rest, left, UNIX_DIAG_RQLEN, &queue_length);
    if (!name || name_length == 0 || name[0] == '\0') {
        return; /* without a name, or an abstract one */
    }
    if (q && queue_length >= sizeof queue) {
        memcpy(&queue, q, sizeof queue);
    }
    struct diag_socket s = {.family = AF_UNIX,
        .listening = m.udiag_state == TCP_LISTEN,
        .path = name,
        .path_length = strnlen(name, name_length),
        .queue = queue.udiag_rqueue,
        .queue_max = queue.udiag_wqueue};
    each(context, &s);
}

static void parse_inet(const char *at, size_t length, diag_each *each, void *context)
{
    struct inet_diag_msg m;
    if (length < sizeof m) {
        return;
    }
    memcpy(&m, at, sizeof m);
    bool inet = m.idiag_family == AF_INET || m.idiag_family == AF_INET6;
    if (!inet || (m.idiag_state != TCP_LISTEN && m.idiag_inode == 0)) {
        return;
    }
    struct diag_socket s = {.family = m.idiag_family,
        .listening = m.idiag_state == TCP_LISTEN,
        .port = ntohs(m.id.idiag_sport),
        .queue = m.idiag_rqueue,
        .queue_max = m.idiag_wqueue};
    memcpy(s.ip, m.id.idiag_src, sizeof s.ip);
    each(context, &s);
}

int diag_parse(const void *reply, size_t length, int family, diag_each *each, void *context)
{
    const char *at = reply;
    while (length >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr head;
        memcpy(&head, at, sizeof head);
        if (head.nlmsg_len < sizeof head || head.nlmsg_len > length || head.nlmsg_type == NLMSG_ERROR) {
            return -1;
        }
        if (head.nlmsg_type == NLMSG_DONE) {
            return 1;
        }
        const char *body = at + NLMSG_HDRLEN;
        size_t body_length = head.nlmsg_len > NLMSG_HDRLEN ? head.nlmsg_len - NLMSG_HDRLEN : 0;
        if (family == AF_UNIX) {
            parse_unix(body, body_length, each, context);
        } else {
            parse_inet(body, body_length, each, context);
        }
        size_t step = NLMSG_ALIGN(head.nlmsg_len);
        if (step > length) {
            break;
        }
        at += step;
        length -= step;
    }
    return 0;
}

int diag_dump(struct diag *diag, int family, bool connected, diag_each *each, void *context)
{
    static _Alignas(struct nlmsghdr) char reply[DIAG_REPLY_BYTES];
    uint32_t states = 1u << TCP_LISTEN | (connected ? 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT : 0);
    while (diag->unfinished && recv(diag->fd, reply, sizeof reply, 0) != -1) {
        /* the rest of the dump that was given up */
    }
    diag->unfinished = true;
    if (ask(diag->fd, family, states) == -1) {
        return -1;
    }
    for (int i = 0; i < DIAG_REPLIES_MAX; i++) {
        ssize_t n = recv(diag->fd, reply, sizeof reply, 0);
        int result = n > 0 ? diag_parse(reply, (size_t)n, family, each, context) : -1;
        if (result) {
            diag->unfinished = result == -1;
            return result == 1 ? 0 : -1;
        }
    }
    return -1;
}
