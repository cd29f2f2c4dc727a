/*
 * The probe path. One read takes a batch of requests, their answers are laid side by side in one buffer, one write sends
 * them. Nothing is allocated for a probe, and no clock is read: the loop has one. See conn.h.
 */
#define _GNU_SOURCE
#include "conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Sends what is laid out, and `more` behind it; the rest waits for the peer. `flags` are send()'s. False: the connection is
 * lost, or its rest is now held.
 */
static bool send_all(struct conn *c, const char *more, size_t more_length, int flags)
{
    struct server *s = c->server;
    size_t length = s->output_length;
    struct iovec parts[] = {{s->output, length}, {(char *)more, more_length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    s->output_length = 0;
    flags |= MSG_NOSIGNAL;
    ssize_t n = more_length ? sendmsg(c->io.fd, &message, flags) : send(c->io.fd, s->output, length, flags);
    if (n == (ssize_t)(length + more_length)) {
        return true;
    }
    if (n == -1 && errno != EAGAIN) {
        conn_close(c);
        return false;
    }
    size_t sent = n > 0 ? (size_t)n : 0, here = sent < length ? sent : length;
    if (!conn_keep(s, &c->out, s->output + here, length - here, more + (sent - here), more_length - (sent - here))) {
        conn_close(c);
        return false;
    }
    conn_enter(c, CONN_WRITING);
    conn_watch(c, EPOLLOUT);
    return false;
}

static bool flush(struct conn *c, int flags)
{
    return c->server->output_length == 0 || send_all(c, "", 0, flags);
}

static void append(struct server *s, const char *at, size_t length)
{
    memcpy(s->output + s->output_length, at, length);
    s->output_length += length;
}

/*
 * Room for so many bytes behind the answers that are laid out, or the buffer empty for what is larger. False as send_all():
 * the request stays with the input, and is answered when the peer has taken what came before.
 */
static bool make_room(struct conn *c, size_t length)
{
    return length <= SERVER_OUTPUT_BYTES - c->server->output_length || flush(c, 0);
}

static const char close_line[] = "Connection: close\r\n", keep_line[] = "Connection: keep-alive\r\n";

static bool make_room_for(struct conn *c, const struct answer *a)
{
    return make_room(c, a->length + sizeof keep_line);
}

/* Lays one answer behind the others, where room was made for it. False as send_all(). */
static bool put_answer(struct conn *c, const struct answer *a, const struct http_request *r, bool last)
{
    struct server *s = c->server;
    const char *line = r->version == HTTP_0_9 ? "" : last ? close_line : r->version == HTTP_1_0 ? keep_line : "";
    const char *from = a->bytes;
    size_t length = a->length;
    if (r->version == HTTP_0_9) {
        from += a->head_length + 2;
        length -= a->head_length + 2;
    } else if (*line || r->method == HTTP_HEAD) {
        append(s, from, a->head_length);
        append(s, line, strlen(line));
        from += a->head_length;
        length = r->method == HTTP_HEAD ? 2 : length - a->head_length;
    }
    if (length > SERVER_OUTPUT_BYTES - s->output_length) { /* larger than the buffer: not copied */
        return send_all(c, from, length, 0);
    }
    append(s, from, length);
    return true;
}

/* What a lost peer can't be told any more, everything has been sent: close, softly where more bytes may be on their way. */
static void finish(struct conn *c, bool linger)
{
    if (!linger) {
        conn_close(c);
        return;
    }
    shutdown(c->io.fd, SHUT_WR);
    conn_enter(c, CONN_LINGER);
    conn_await_input(c);
}

/* After the last answer was laid out. MSG_MORE: the kernel sends it in one packet with the end that follows at once. */
static void say_last(struct conn *c, bool linger)
{
    if (flush(c, MSG_MORE)) {
        finish(c, linger);
    } else if (c->state == CONN_WRITING) {
        conn_enter(c, CONN_LAST);
    }
}

enum served {
    SERVED,
    SERVED_LAST, /* no more on this connection now */
    SERVED_LATER /* not yet: the peer has to take other answers first */
};

static enum served refuse(struct conn *c, int status)
{
    struct answer a = answers_error(*c->server->answers, status);
    struct http_request r = {.version = HTTP_1_1};
    if (!make_room_for(c, &a)) {
        return SERVED_LATER;
    }
    (*a.count)++;
    put_answer(c, &a, &r, true);
    say_last(c, true);
    return SERVED_LAST;
}

static struct answer control_answer(struct conn *c, const struct http_request *r, char *room, size_t room_bytes)
{
    struct server *s = c->server;
    struct writer body = {s->control_body, SERVER_INPUT_BYTES, 0};
    int status = s->control ? s->control(s->context, r, &body) : 0;
    static uint64_t ignored;
    if (status == 0) {
        return (struct answer){0};
    }
    size_t length = writer_cut(&body) ? body.room : body.length;
    struct writer w = {room, room_bytes, 0};
    writer_format(
        &w, "HTTP/1.1 %d -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n", status, length);
    size_t head = w.length;
    writer_text(&w, "\r\n");
    writer_add(&w, body.bytes, length);
    return (struct answer){
        .bytes = room, .length = writer_cut(&w) ? w.room : w.length, .head_length = head, .count = &ignored};
}

/* Answers one request, which stays with the input where that has to be LATER. */
static enum served serve(struct conn *c, const struct http_request *r)
{
    struct server *s = c->server;
    struct answer a = {0};
    char room[8192];
    if (c->kind == LISTENER_CONTROL) {
        if (!make_room(c, sizeof room + sizeof keep_line)) { /* before it is done: it is to be done once */
            return SERVED_LATER;
        }
        a = control_answer(c, r, room, sizeof room);
    }
    if (!a.bytes) {
        if (r->method > HTTP_OPTIONS) {
            return refuse(c, 405);
        }
        a = answers_find(*s->answers, r, s->loop->now_ms);
    }
    if (!a.bytes) { /* no memory to render it */
        return refuse(c, 503);
    }
    if (!make_room_for(c, &a)) {
        return SERVED_LATER;
    }
    (*a.count)++;
    if (a.tells && c->peer) {
        probers_note(&s->probers, c->peer ^ a.question << 16, a.drains, s->loop->now_ms);
    }
    bool sent = put_answer(c, &a, r, !r->keep_alive);
    if (sent && !r->keep_alive) {
        say_last(c, r->version == HTTP_0_9);
    } else if (!r->keep_alive && c->state == CONN_WRITING) {
        conn_enter(c, CONN_LAST);
    }
    return sent && r->keep_alive ? SERVED : SERVED_LAST;
}

/* http_parse(), of which a request that is known already is spared. */
static ssize_t parse(struct server *s, const char *at, size_t length, struct http_request *r)
{
    struct known_request *k = &s->known;
    if (k->length && k->length <= length && memcmp(at, k->bytes, k->length) == 0) {
        *r = k->parsed;
        return (ssize_t)k->length;
    }
    ssize_t taken = http_parse(at, length, r);
    if (taken > 0 && taken <= SERVER_KNOWN_BYTES) {
        memcpy(k->bytes, at, (size_t)taken);
        k->length = (size_t)taken;
        k->parsed = *r;
        k->parsed.path = k->bytes + (r->path - at);
        k->parsed.query = k->bytes + (r->query - at);
    }
    return taken;
}

/* For when the peer has taken its answers. */
static void keep_input(struct conn *c, const char *at, size_t length)
{
    if (c->state == CONN_WRITING && length && !conn_keep(c->server, &c->in, at, length, "", 0)) {
        conn_close(c);
    }
}

/* Serves the requests in `length` bytes and keeps what is left of them. */
static void serve_batch(struct conn *c, const char *at, size_t length)
{
    bool fresh = c->state != CONN_HEAD; /* a request's deadline counts from its first byte, not from each */
    while (length) {
        struct http_request r;
        ssize_t taken = parse(c->server, at, length, &r);
        if (taken == 0) {
            break;
        }
        enum served served = taken < 0 ? refuse(c, (int)-taken) : serve(c, &r);
        if (served == SERVED_LATER) {
            keep_input(c, at, length);
            return;
        }
        at += taken > 0 ? taken : 0;
        length -= taken > 0 ? (size_t)taken : 0;
        fresh = true;
        if (served == SERVED_LAST) {
            keep_input(c, at, length);
            return;
        }
    }
    if (!flush(c, 0)) {
        keep_input(c, at, length);
        return;
    }
    if (length && !conn_keep(c->server, &c->in, at, length, "", 0)) {
        conn_close(c);
        return;
    }
    if (fresh) {
        conn_enter(c, length ? CONN_HEAD : CONN_IDLE);
    }
    conn_await_input(c);
}

static void agent_input(struct conn *c)
{
    char line[AGENT_LINE_MAX_BYTES];
    ssize_t n = recv(c->io.fd, line, sizeof line, 0);
    if (n == -1 && errno == EAGAIN) {
        conn_await_input(c);
        return;
    }
    size_t length = n > 0 ? (size_t)n : 0;
    char *end = memchr(line, '\n', length);
    if (n > 0 && !end) { /* an agent-send comes in one piece; anything else gets the worst pool's answer in time */
        conn_await_input(c);
        return;
    }
    length = end ? (size_t)(end - line) : 0;
    length -= length && line[length - 1] == '\r';
    struct answer a = answers_agent(*c->server->answers, line, length);
    (*a.count)++;
    send(c->io.fd, a.bytes, a.length, MSG_NOSIGNAL);
    conn_close(c);
}

static void read_requests(struct conn *c)
{
    struct server *s = c->server;
    size_t have = c->in.length;
    if (have) {
        memcpy(s->input, c->in.at, have);
    }
    ssize_t n = recv(c->io.fd, s->input + have, sizeof s->input - have, 0);
    if (n == -1 && errno == EAGAIN) {
        conn_await_input(c);
    } else if (n <= 0) {
        conn_close(c);
    } else {
        conn_drop(s, &c->in);
        serve_batch(c, s->input, have + (size_t)n);
    }
}

static void write_held(struct conn *c)
{
    struct server *s = c->server;
    struct bytes *out = &c->out;
    ssize_t n = send(c->io.fd, out->at + out->done, out->length - out->done, MSG_NOSIGNAL);
    if (n == -1) {
        if (errno != EAGAIN) {
            conn_close(c);
        }
        return;
    }
    out->done += (size_t)n;
    if (out->done < out->length) {
        conn_enter(c, c->state); /* it moves: a slow reader is not a dead one */
        return;
    }
    conn_drop(s, out);
    conn_watch(c, EPOLLIN);
    if (c->state == CONN_LAST) {
        finish(c, true);
    } else if (c->state == CONN_WRITING) {
        conn_enter(c, CONN_IDLE);
        size_t have = c->in.length;
        if (have) {
            memcpy(s->input, c->in.at, have);
            conn_drop(s, &c->in);
            serve_batch(c, s->input, have);
        }
    }
}

static void discard(struct conn *c)
{
    ssize_t n = recv(c->io.fd, c->server->input, sizeof c->server->input, 0);
    if (n == 0 || (n == -1 && errno != EAGAIN)) {
        conn_close(c);
    }
}

static void on_conn(struct loop_io *io, uint32_t events)
{
    struct conn *c = container_of(io, struct conn, io);
    (void)events; /* errors and hang-ups show in the next read or write */
    switch (c->state) {
    case CONN_IDLE:
    case CONN_HEAD: read_requests(c); break;
    case CONN_WRITING:
    case CONN_LAST: write_held(c); break;
    case CONN_LINGER: discard(c); break;
    case CONN_AGENT: agent_input(c); break;
    default: break;
    }
}

static uint64_t peer_key(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        return ((uint64_t)((const struct sockaddr_in *)peer)->sin_addr.s_addr << 8) | 1;
    }
    if (peer->ss_family == AF_INET6) {
        uint64_t halves[2];
        memcpy(halves, &((const struct sockaddr_in6 *)peer)->sin6_addr, sizeof halves);
        return (halves[0] * 31 + halves[1]) | 1;
    }
    return 1;
}

void exchange_begin(struct server *s, enum listener_kind kind, int fd, const struct sockaddr_storage *peer)
{
    struct conn *c = conn_take(s);
    if (!c) {
        close(fd);
        return;
    }
    *c = (struct conn){.io = {fd, on_conn}, .server = s, .state = CONN_CLOSED, .kind = kind};
    c->peer = kind == LISTENER_CONTROL ? 0 : peer_key(peer);
    s->count++;
    if (kind != LISTENER_AGENT) {
        conn_enter(c, CONN_IDLE);
        read_requests(c); /* mostly the request is there already, and epoll need not be asked */
    } else if (answers_single_pool(*s->answers)) {
        struct answer a = answers_agent(*s->answers, NULL, 0);
        (*a.count)++;
        conn_enter(c, CONN_LINGER);
        send(fd, a.bytes, a.length, MSG_NOSIGNAL);
        finish(c, true);
    } else {
        conn_enter(c, CONN_AGENT);
        agent_input(c);
    }
}
