/*
 * A hostile board. The input is a whole board, or a list of writes into a good one; then everything that helper, worker and
 * master read from it is read.
 */
#define _GNU_SOURCE
#include "fuzz_helper.h"

#include <sys/mman.h>
#include <unistd.h>

#include "board.h"

enum { POOLS = 3, SLOTS = 4, WHOLE_BYTES = 4 * BOARD_PAGE_BYTES };

static const struct board_spec specs[POOLS] = {{"web", SLOTS}, {"api", SLOTS}, {"cron", SLOTS}};
static const char pools[] = "{'log':'/dev/null','log_level':'error','pools':[{'name':'web','listen':'/nowhere/web'},"
                            "{'name':'api','listen':'/nowhere/api'},{'name':'cron','listen':'/nowhere/cron'}]}";
static struct helper h = FUZZ_HELPER;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    config_destroy(fuzz_helper_begin(&h, pools));
    return 0;
}

/* A board of the input's bytes alone: the header's after the version, then, on the next page, what is to be the pools. */
static int whole(const uint8_t *data, size_t size)
{
    struct board_header head = {.magic = BOARD_MAGIC, .version = BOARD_VERSION};
    const size_t trusted = offsetof(struct board_header, pool_count), most = sizeof head - trusted;
    size_t n = size < most ? size : most;
    int fd = board_create();
    memcpy((unsigned char *)&head + trusted, data, n);
    REQUIRE(fd != -1 && ftruncate(fd, WHOLE_BYTES) == 0 && pwrite(fd, &head, sizeof head, 0) == sizeof head);
    size_t rest = size - n < WHOLE_BYTES - BOARD_PAGE_BYTES ? size - n : WHOLE_BYTES - BOARD_PAGE_BYTES;
    REQUIRE(pwrite(fd, data + n, rest, BOARD_PAGE_BYTES) == (ssize_t)rest);
    return fd;
}

/* A good board into which the input writes: offset (2 bytes), length (1 byte), bytes; … */
static int scribbled(const uint8_t *data, size_t size)
{
    struct board b = {0};
    int fd = board_create();
    REQUIRE(fd != -1 && board_layout(&b, fd, specs, POOLS) == 0);
    while (size > 3) {
        size_t at = (size_t)fuzz_byte(&data, &size) << 8;
        at |= fuzz_byte(&data, &size);
        size_t n = fuzz_byte(&data, &size) % 16 + 1u;
        n = n < size ? n : size;
        at = (at < 1024 ? at : at - 1024 + BOARD_PAGE_BYTES) % b.map_bytes; /* most of the first page is empty */
        n = n < b.map_bytes - at ? n : b.map_bytes - at;
        if (at >= offsetof(struct board_header, pool_count)) {
            memcpy(b.map + at, data, n);
        }
        data += n;
        size -= n;
    }
    board_close(&b);
    return fd;
}

/* The daemon, from its start to a look, a stop and a reload's new layout under it. */
static void read_as_helper(int fd)
{
    REQUIRE(board_open(&h.board, fd) == 0);
    struct config *config = fuzz_config(pools);
    config->generation = board_header(&h.board)->generation;
    h.board_fd = fd;
    REQUIRE(helper_take_config(&h, config));
    helper_watch_master(&h);
    for (int i = 0; i < 3; i++) {
        helper_follow_board(&h);
        sampler_look_at_board(h.sampler);
        h.loop.now_ms += 1000;
    }
    for (size_t i = 0; i < h.in.pool_count; i++) {
        const struct pool *p = h.in.pools[i];
        REQUIRE(p->verdict.state < BOARD_STATES && p->verdict.weight <= 100 &&
            strlen(p->verdict.reason) < BOARD_TEXT_BYTES);
        REQUIRE(p->sample.active <= BOARD_MAX_SLOTS);
        for (const char *c = p->verdict.reason; *c; c++) {
            REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
        }
    }
    struct http_request r = {.method = HTTP_GET, .version = HTTP_1_1, .path = "/status", .path_length = 7};
    struct answer a = answers_find(h.answers, &r, h.loop.now_ms);
    char *body = fuzz_text((const uint8_t *)a.bytes + a.head_length + 2, a.length - a.head_length - 2);
    json_t *json = json_loads(body, JSON_ALLOW_NUL, NULL);
    REQUIRE(json);
    json_decref(json);
    free(body);
}

static void end_helper(void)
{
    for (size_t i = 0; i < h.in.pool_count; i++) {
        sampler_release(h.sampler, h.in.pools[i]);
    }
    helper_release_pools(&h);
    answers_destroy(h.answers);
    h.answers = NULL;
    config_destroy(h.in.config);
    if (h.master.fd != -1) {
        loop_remove(&h.loop, &h.master);
        close(h.master.fd);
    }
    loop_clear(&h.loop, &h.step);
    loop_clear(&h.loop, &h.handover);
    board_close(&h.board);
    h.master.fd = h.board_fd = -1;
    h.in.config = NULL;
    h.in.master_pid = 0;
    h.in.master_gone = h.in.stopping = h.leaving = h.done = h.signalled = false;
    h.in.sampled_ms = 0;
    h.stop = (struct drain){0};
}

static void read_as_worker(int fd)
{
    struct board b = {0};
    char text[BOARD_TEXT_BYTES];
    uint32_t slots;
    REQUIRE(board_open(&b, fd) == 0);
    size_t count = board_pool_count(&b);
    REQUIRE(count * sizeof(struct board_pool_info) + BOARD_PAGE_BYTES <= b.map_bytes);
    for (size_t i = 0; i < count && i < 8; i++) {
        struct board_pool_info *info = board_info(&b, i);
        struct board_pool *pool = board_pool(&b, i, &slots);
        board_text_get(&info->reason, text);
        REQUIRE(board_state_name(info->state)[0] && strlen(text) < sizeof text);
        if (pool) {
            REQUIRE((unsigned char *)(board_slots(pool) + slots) <= b.map + b.map_bytes);
        }
    }
    struct board_pool *own = board_pool(&b, 1, &slots);
    struct board_slot *slot = own ? board_slot_claim(own, slots, getpid()) : NULL;
    unsigned char *map = b.map;
    size_t map_bytes = b.map_bytes;
    board_keep_only(&b, own, slots);
    if (slot) {
        slot->requests++; /* its page is still there, and may be written */
        board_text_set(&own->hold_reason, "as before");
    }
    REQUIRE(board_header(&b)->magic == BOARD_MAGIC);
    board_close(&b);
    munmap(map, map_bytes);
}

/* A reload by a master that finds this board in its environment. */
static void lay_out_as_master(int fd)
{
    struct board b = {0};
    uint32_t slots;
    REQUIRE(board_layout(&b, fd, specs, POOLS) == 0 && board_pool_count(&b) == POOLS);
    for (size_t i = 0; i < POOLS; i++) {
        REQUIRE(board_pool(&b, i, &slots) && slots == SLOTS && strcmp(board_info(&b, i)->name, specs[i].name) == 0);
    }
    board_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = fuzz_byte(&data, &size) & 1 ? whole(data, size) : scribbled(data, size);
    read_as_helper(fd);
    read_as_worker(fd);
    lay_out_as_master(fd);
    end_helper();
    close(fd);
    return 0;
}
