/*
 * FastCGI requests; see flight.h. FPM holds a worker until the client closes: so the close comes first, then the news. Answers
 * are read by the clock twice, those of one look together: one wake-up for all of them.
 */
#define _GNU_SOURCE
#include "flight.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUEST_BYTES = 8192, READ_BYTES = 4096, OUTPUT_BYTES = 8192 };

enum flight_state {
    FLIGHT_CONNECTING, /* watched by epoll */
    FLIGHT_SENT,       /* not watched: most answers are there at the first look, … */
    FLIGHT_LATE,       /* … and those of a busy machine at the second */
    FLIGHT_READING,    /* watched */
    FLIGHT_FAILED      /* without a socket */
};

/* No larger than what is in it: very many pools are asked at the same moment, and most answers are short. */
struct bytes {
    unsigned char *at;
    size_t length;
};

struct flight {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer timer;
    enum flight_state state;
    int64_t sent_ms, deadline_ms;
    int error; /* errno of a connect that failed at once */
    flight_done *done;
    void *context;
    struct bytes pending; /* the request until it is sent, then a record of the answer whose end has not come yet */
    struct bytes output;
    size_t received;
};

/* Returns 0, or -1: out of memory. */
static int append(struct bytes *b, const void *more, size_t length)
{
    unsigned char *grown = realloc(b->at, b->length + length + 1);
    if (!grown) {
        return -1;
    }
    memcpy(grown + b->length, more, length);
    b->at = grown;
    b->length += length;
    b->at[b->length] = '\0';
    return 0;
}

static void release(struct flight *f)
{
    if (f->state == FLIGHT_CONNECTING || f->state == FLIGHT_READING) {
        loop_remove(f->loop, &f->io);
    }
    if (f->io.fd != -1) {
        close(f->io.fd);
    }
    loop_clear(f->loop, &f->timer);
}

static void destroy(struct flight *f)
{
    free(f->pending.at);
    free(f->output.at);
    free(f);
}

int64_t flight_pause_ms(uint32_t failures)
{
    int64_t pause_ms = (int64_t)PING_RETRY_MS << (failures < 6 ? failures : 6);
    return pause_ms < PING_RETRY_MAX_MS ? pause_ms : PING_RETRY_MAX_MS;
}

void flight_cancel(struct flight *f)
{
    if (f) {
        release(f);
        destroy(f);
    }
}

static void land(struct flight *f, enum ping_result result, const char *error)
{
    release(f);
    f->done(f->context, &(struct flight_result){result, error, f->output.at ? (const char *)f->output.at : ""});
    destroy(f);
}

static void land_errno(struct flight *f, int error)
{
    char text[96];
    enum ping_result result = error == ECONNREFUSED || error == ENOENT ? PING_REFUSED
        : error == EACCES || error == EPERM                            ? PING_FORBIDDEN
                                                                       : PING_BAD;
    snprintf(text, sizeof text, "FastCGI: %s", strerror(error));
    land(f, result, text);
}

/* Takes whole records out of what is pending. Returns false when the flight has ended. */
static bool take_records(struct flight *f)
{
    size_t at = 0;
    for (;;) {
        struct fcgi_record r;
        ssize_t n = fcgi_parse(f->pending.at + at, f->pending.length - at, &r);
        if (n < 0) {
            land(f, PING_BAD, "FastCGI: the answer is no FastCGI");
            return false;
        }
        if (n == 0) {
            break;
        }
        if (r.type == FCGI_STDOUT) {
            size_t room = OUTPUT_BYTES - 1 - f->output.length;
            if (append(&f->output, r.content, r.length < room ? r.length : room) == -1) {
                land_errno(f, ENOMEM);
                return false;
            }
        } else if (r.type == FCGI_END) {
            land(f, r.protocol_status == 0 ? PING_GOOD : PING_BAD,
                r.protocol_status == 0 ? "" : "FastCGI: request rejected");
            return false;
        }
        at += (size_t)n;
    }
    f->pending.length -= at;
    memmove(f->pending.at, f->pending.at + at, f->pending.length);
    return true;
}

/* False: the flight has ended. */
static bool read_answer(struct flight *f)
{
    unsigned char part[READ_BYTES];
    ssize_t n = recv(f->io.fd, part, sizeof part, 0);
    if (n == -1 && errno == EAGAIN) {
        return true;
    }
    if (n == -1 || (n > 0 && append(&f->pending, part, (size_t)n) == -1)) {
        land_errno(f, errno);
        return false;
    }
    if (n == 0) {
        land(f, PING_BAD, "FastCGI: connection closed without an answer");
        return false;
    }
    f->received += (size_t)n;
    if (f->received > PING_ANSWER_MAX_BYTES * 2) {
        land(f, PING_BAD, "FastCGI: the answer is too long");
        return false;
    }
    return take_records(f);
}

/* Returns 0 or an errno. */
static int send_request(struct flight *f)
{
    /* a fresh socket's buffer takes a kilobyte whole */
    ssize_t n = send(f->io.fd, f->pending.at, f->pending.length, MSG_NOSIGNAL);
    if (n != (ssize_t)f->pending.length) {
        return n == -1 ? errno : EMSGSIZE;
    }
    f->pending.length = 0;
    f->state = FLIGHT_SENT;
    f->sent_ms = f->loop->now_ms;
    loop_set(f->loop, &f->timer, f->sent_ms + FLIGHT_LOOK_MS);
    return 0;
}

static void connected(struct flight *f)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(f->io.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (!error) {
        loop_remove(f->loop, &f->io);
        error = send_request(f);
    }
    if (error) {
        land_errno(f, error);
    }
}

static void look(struct flight *f)
{
    if (!read_answer(f)) {
        return;
    }
    if (f->state == FLIGHT_SENT) {
        f->state = FLIGHT_LATE;
        loop_set(f->loop, &f->timer, f->sent_ms + FLIGHT_LOOK_LATE_MS);
        return;
    }
    if (loop_add(f->loop, &f->io, EPOLLIN) == -1) {
        land_errno(f, errno);
        return;
    }
    f->state = FLIGHT_READING;
    loop_set(f->loop, &f->timer, f->deadline_ms);
}

static void on_timer(struct loop_timer *timer)
{
    struct flight *f = container_of(timer, struct flight, timer);
    switch (f->state) {
    case FLIGHT_CONNECTING: land(f, PING_BAD, "FastCGI: connect timed out"); break;
    case FLIGHT_SENT:
    case FLIGHT_LATE: look(f); break;
    case FLIGHT_READING: land(f, PING_BAD, "FastCGI: no answer in time"); break;
    case FLIGHT_FAILED: land_errno(f, f->error); break;
    }
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct flight *f = container_of(io, struct flight, io);
    (void)events;
    if (f->state == FLIGHT_CONNECTING) {
        connected(f);
    } else {
        read_answer(f);
    }
}

/* Returns 0, or -1: out of memory, or too long. */
static int write_request(struct flight *f, enum flight_kind kind, const char *path)
{
    bool script = flight_is_script(kind);
    char name[SCRIPT_MAX_BYTES + 1];
    size_t length = script ? strcspn(path, "?") : strlen(path);
    if (strlen(path) > SCRIPT_MAX_BYTES) {
        return -1;
    }
    memcpy(name, path, length);
    name[length] = '\0';
    const char *query = script ? path + length + (path[length] == '?') : kind == FLIGHT_STATUS ? "json" : "";
    struct fcgi_pair pairs[] = {{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", name}, {"QUERY_STRING", query},
        {"REQUEST_URI", path}, {"SERVER_PROTOCOL", "HTTP/1.0"},
        {script ? "SVCREG_PROBE" : "SVCREG_PING",
            !script                     ? "1"
                : kind == FLIGHT_WARMUP ? "warmup"
                                        : "probe"},
        {"SCRIPT_FILENAME", name}};
    size_t count = sizeof pairs / sizeof *pairs - (kind == FLIGHT_PING);
    unsigned char request[REQUEST_BYTES];
    size_t bytes = fcgi_request(request, sizeof request, pairs, count);
    return bytes ? append(&f->pending, request, bytes) : -1;
}

struct flight *flight_start(struct loop *loop, const struct address *to, enum flight_kind kind, const char *path,
    int64_t timeout_ms, flight_done *done, void *context)
{
    struct flight *f = malloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    *f = (struct flight){.loop = loop,
        .io = {socket(to->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on_ready},
        .timer = {.fire = on_timer},
        .state = FLIGHT_FAILED,
        .deadline_ms = loop->now_ms + timeout_ms,
        .done = done,
        .context = context};
    if (f->io.fd == -1 || write_request(f, kind, path) == -1) {
        flight_cancel(f);
        return NULL;
    }
    if (connect(f->io.fd, &to->to.any, to->length) == 0) {
        f->error = send_request(f);
    } else if (errno != EINPROGRESS || loop_add(loop, &f->io, EPOLLOUT) == -1) {
        f->error = errno;
    } else {
        f->error = 0;
        f->state = FLIGHT_CONNECTING;
        loop_set(loop, &f->timer, f->deadline_ms);
    }
    if (f->error) {
        loop_set(loop, &f->timer, loop->now_ms);
    }
    return f;
}
