/* A FastCGI server that answers anything, in pieces of any size: records, and the flight that collects them. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "cgi.h"
#include "fcgi.h"
#include "flight.h"

static struct loop loop;
static struct address to;
static int listener = -1;
static bool landed;
static struct {
    bool good;
    char output[8192];
} expected;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[64];
    const char *why;
    (void)argc;
    (void)argv;
    snprintf(path, sizeof path, "/tmp/svcreg-fuzz-%d", getpid());
    REQUIRE(loop_init(&loop) == 0 && address_parse(&to, path, &why) == 0);
    unlink(path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(listener, &to.to.any, to.length) == 0 && listen(listener, 8) == 0);
    return 0;
}

static void land(void *context, const struct flight_result *r)
{
    char line[BOARD_TEXT_BYTES];
    (void)context;
    landed = true;
    cgi_parse(r->output, line, sizeof line);
    REQUIRE(strlen(line) < sizeof line && r->error);
    REQUIRE((r->result == PING_GOOD) == expected.good);
    REQUIRE(!expected.good || strcmp(r->output, expected.output) == 0);
}

static void records(const uint8_t *data, size_t size)
{
    struct fcgi_record r;
    size_t length = 0;
    bool ended = expected.good = false;
    for (ssize_t n; (n = fcgi_parse(data, size, &r)) > 0; data += n, size -= (size_t)n) {
        REQUIRE((size_t)n <= size && r.content >= data && r.content + r.length <= data + n);
        if (!ended && r.type == FCGI_STDOUT) {
            size_t room = sizeof expected.output - 1 - length, taken = r.length < room ? r.length : room;
            memcpy(expected.output + length, r.content, taken);
            length += taken;
        }
        expected.good |= !ended && r.type == FCGI_END && r.protocol_status == 0;
        ended |= r.type == FCGI_END;
    }
    expected.output[length] = '\0';
}

static void nothing(struct loop_timer *timer)
{
    (void)timer;
}

static void turn(void)
{
    static struct loop_timer now = {.fire = nothing};
    loop_set(&loop, &now, loop.now_ms);
    REQUIRE(loop_turn(&loop) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char request[4096];
    size_t piece = (size_t)fuzz_byte(&data, &size) * 64 + 1;
    records(data, size);
    landed = false;
    /* both looks by the clock are due at once: before there is an answer, or with its first pieces */
    loop.now_ms -= FLIGHT_LOOK_LATE_MS;
    struct flight *f = flight_start(&loop, &to, FLIGHT_PROBE, "/probe.php?x", PING_TIMEOUT_MS, land, NULL);
    REQUIRE(f);
    int fd = accept(listener, NULL, NULL);
    REQUIRE(fd != -1);
    if (piece & 64) {
        turn();
    }
    REQUIRE(recv(fd, request, sizeof request, 0) > 0);
    while (size && !landed) {
        size_t n = size < piece ? size : piece;
        REQUIRE(send(fd, data, n, MSG_NOSIGNAL) == (ssize_t)n);
        data += n;
        size -= n;
        turn();
    }
    close(fd);
    for (int i = 0; i < 8 && !landed; i++) {
        turn();
    }
    REQUIRE(landed);
    return 0;
}
