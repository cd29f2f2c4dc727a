/* A peer of the server, from its first byte to the last: HTTP, agent-check and control.sock, in pieces of any size. */
#define _GNU_SOURCE
#include "fuzz_helper.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"

static struct helper h = FUZZ_HELPER;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct config *config = fuzz_helper_begin(
        &h, "{'pools':[{'name':'web','listen':'/nowhere/web'},{'name':'a b%','listen':'/nowhere/a'}]}");
    REQUIRE(helper_take_config(&h, config));
    fuzz_no_log();
    return 0;
}

static void nothing(struct loop_timer *timer)
{
    (void)timer;
}

/* Serves what has come, and waits for nothing. */
static void turn(void)
{
    static struct loop_timer now = {.fire = nothing};
    loop_set(&h.loop, &now, h.loop.now_ms);
    REQUIRE(loop_turn(&h.loop) == 0);
}

static size_t take_answers(int fd, char *out, size_t room)
{
    ssize_t n = recv(fd, out, room, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answers[1 << 18];
    int ends[2];
    struct sockaddr_storage peer = {.ss_family = AF_INET};
    uint8_t how = fuzz_byte(&data, &size);
    enum listener_kind kind = (enum listener_kind)(how % 3);
    size_t piece = (size_t)(how / 3) * 16 + 1, got = 0;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    exchange_begin(h.server, kind, ends[0], &peer);
    while (size) {
        size_t n = size < piece ? size : piece;
        if (send(ends[1], data, n, MSG_NOSIGNAL) != (ssize_t)n) {
            break;
        }
        data += n;
        size -= n;
        turn();
        got += take_answers(ends[1], answers + got, sizeof answers - got);
    }
    turn();
    got += take_answers(ends[1], answers + got, sizeof answers - got);
    REQUIRE(kind == LISTENER_AGENT || got < 9 || memcmp(answers, "HTTP/1.1 ", 9) == 0 || memchr(answers, '\n', got));
    close(ends[1]);
    turn();
    turn();
    while (h.server->count) { /* an agent-check that waits for its time */
        for (int state = 0; state < CONN_STATES; state++) {
            if (h.server->queues[state].first) {
                conn_close(h.server->queues[state].first);
            }
        }
    }
    REQUIRE(h.server->held_bytes == 0);
    return 0;
}
