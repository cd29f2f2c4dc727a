/* The board's layout and accessors; see board.h. Used by the extension and by fpm-health, so it needs libc alone. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "board.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_READ_TRIES = 8 };

static_assert(sizeof(struct board_header) <= BOARD_PAGE_BYTES, "the header has one page");
static_assert(sizeof(struct board_slot) == 64, "a slot is a cache line");
static_assert(sizeof(struct board_pool) % 64 == 0, "slots follow on a cache line of their own");
static_assert(BOARD_MAX_POOLS * (uint64_t)sizeof(struct board_pool_info) < UINT32_MAX, "infos fit");

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + BOARD_PAGE_BYTES - 1) & ~(uint64_t)(BOARD_PAGE_BYTES - 1);
}

static uint64_t pool_bytes(uint32_t slots)
{
    return round_up(sizeof(struct board_pool) + (uint64_t)slots * sizeof(struct board_slot));
}

static uint64_t first_pool_offset(size_t count)
{
    return BOARD_PAGE_BYTES + round_up(count * sizeof(struct board_pool_info));
}

int board_create(void)
{
    int fd = memfd_create("svcreg-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd == -1) {
        return -1;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == -1) { /* nor may another seal stop a later reload */
        close(fd);
        return -1;
    }
    return fd;
}

static int map_fd(struct board *b, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == -1) {
        return -1;
    }
    if (st.st_size < (off_t)BOARD_PAGE_BYTES) {
        errno = EPROTO;
        return -1;
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return -1;
    }
    b->map = map;
    b->map_bytes = (size_t)st.st_size;
    return 0;
}

bool board_is_sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    return seals != -1 && (seals & F_SEAL_SHRINK);
}

int board_open(struct board *b, int fd)
{
    if (!board_is_sealed(fd)) {
        errno = EPROTO;
        return -1;
    }
    if (map_fd(b, fd) == -1) {
        return -1;
    }
    const struct board_header *h = board_header(b);
    if (h->magic != BOARD_MAGIC || h->version != BOARD_VERSION) {
        int reason = h->magic == BOARD_MAGIC ? EPROTONOSUPPORT : EPROTO;
        board_close(b);
        errno = reason;
        return -1;
    }
    return 0;
}

void board_close(struct board *b)
{
    if (b->map) {
        munmap(b->map, b->map_bytes);
    }
    *b = (struct board){0};
}

struct board_header *board_header(const struct board *b)
{
    return (struct board_header *)(void *)b->map;
}

size_t board_pool_count(const struct board *b)
{
    size_t room = (b->map_bytes - BOARD_PAGE_BYTES) / sizeof(struct board_pool_info);
    size_t count = atomic_load_explicit(&board_header(b)->pool_count, memory_order_acquire);
    if (count > BOARD_MAX_POOLS) {
        count = BOARD_MAX_POOLS;
    }
    return count < room ? count : room;
}

struct board_pool_info *board_info(const struct board *b, size_t i)
{
    if (i >= board_pool_count(b)) {
        return NULL;
    }
    return (struct board_pool_info *)(void *)(b->map + BOARD_PAGE_BYTES) + i;
}

struct board_pool *board_pool(const struct board *b, size_t i, uint32_t *slots)
{
    struct board_pool_info *info = board_info(b, i);
    *slots = 0;
    if (!info) {
        return NULL;
    }
    uint64_t offset = atomic_load_explicit(&info->pool_offset_bytes, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&info->slots, memory_order_relaxed);
    if (n > BOARD_MAX_SLOTS || offset % BOARD_PAGE_BYTES != 0 || offset < first_pool_offset(board_pool_count(b)) ||
        offset > b->map_bytes || pool_bytes(n) > b->map_bytes - offset) {
        return NULL;
    }
    *slots = n;
    return (struct board_pool *)(void *)(b->map + offset);
}

struct board_slot *board_slots(struct board_pool *pool)
{
    return (struct board_slot *)(void *)(pool + 1);
}

/* What a reload must not lose of one pool. */
struct kept {
    char name[BOARD_NAME_BYTES];
    uint32_t hold, drain, maintenance;
    char hold_reason[BOARD_TEXT_BYTES], control_reason[BOARD_TEXT_BYTES];
};

static int compare_kept(const void *a, const void *b)
{
    return strncmp(((const struct kept *)a)->name, ((const struct kept *)b)->name, BOARD_NAME_BYTES);
}

/* Collects, sorted by name, the pools of an earlier layout. Returns NULL with *count 0 when there is nothing to keep. */
static struct kept *collect_kept(const struct board *b, size_t *count)
{
    size_t pools = b->map ? board_pool_count(b) : 0;
    struct kept *all = pools ? calloc(pools, sizeof *all) : NULL;
    size_t n = 0;
    *count = 0;
    if (!all) {
        return NULL;
    }
    for (size_t i = 0; i < pools; i++) {
        uint32_t slots;
        struct board_pool_info *info = board_info(b, i);
        struct board_pool *pool = board_pool(b, i, &slots);
        if (!info) { /* the count shrank under our eyes: somebody scribbles */
            break;
        }
        struct kept k = {.drain = info->drain, .maintenance = info->maintenance};
        memcpy(k.name, info->name, sizeof k.name);
        board_text_get(&info->control_reason, k.control_reason);
        if (pool) {
            k.hold = pool->hold;
            board_text_get(&pool->hold_reason, k.hold_reason);
        }
        if (k.hold || k.drain || k.maintenance) {
            all[n++] = k;
        }
    }
    if (n) {
        qsort(all, n, sizeof *all, compare_kept);
    }
    *count = n;
    return all;
}

static void lay_out_pool(struct board *b, size_t i, const struct board_spec *spec, uint64_t offset,
    const struct kept *kept, size_t kept_count)
{
    struct board_pool_info *info = (struct board_pool_info *)(void *)(b->map + BOARD_PAGE_BYTES) + i;
    struct kept key = {0};
    for (size_t c = 0; c < BOARD_NAME_BYTES - 1 && spec->name[c]; c++) {
        key.name[c] = spec->name[c];
    }
    memcpy(info->name, key.name, sizeof info->name);
    info->pool_offset_bytes = offset;
    info->slots = spec->slots;

    const struct kept *k = kept_count ? bsearch(&key, kept, kept_count, sizeof *kept, compare_kept) : NULL;
    if (k) {
        struct board_pool *pool = (struct board_pool *)(void *)(b->map + offset);
        pool->hold = k->hold;
        board_text_set(&pool->hold_reason, k->hold_reason);
        info->drain = k->drain;
        info->maintenance = k->maintenance;
        board_text_set(&info->control_reason, k->control_reason);
    }
}

int board_layout(struct board *b, int fd, const struct board_spec *specs, size_t count)
{
    if (count > BOARD_MAX_POOLS) {
        errno = E2BIG;
        return -1;
    }
    uint64_t total = first_pool_offset(count);
    for (size_t i = 0; i < count; i++) {
        if (specs[i].slots > BOARD_MAX_SLOTS) {
            errno = E2BIG;
            return -1;
        }
        total += pool_bytes(specs[i].slots);
    }
    struct stat st;
    /* fallocate and not ftruncate: memory that is not to be had is an error here, not a SIGBUS in a worker */
    if (fstat(fd, &st) == -1 || ((uint64_t)st.st_size < total && fallocate(fd, 0, 0, (off_t)total) == -1)) {
        return -1;
    }
    struct board fresh = {0};
    if (map_fd(&fresh, fd) == -1) {
        return -1;
    }
    struct board_header *h = board_header(&fresh);
    bool known = h->magic == BOARD_MAGIC && h->version == BOARD_VERSION;
    size_t kept_count = 0;
    if (known) {
        atomic_fetch_or(&h->generation, BOARD_LAYING_OUT);
    }
    struct kept *kept = known ? collect_kept(&fresh, &kept_count) : NULL;

    atomic_store(&h->pool_count, 0); /* a helper that looks now sees no pools, never half a layout */
    uint64_t used = (uint64_t)st.st_size < total ? (uint64_t)st.st_size : total; /* what is new is zero as it comes */
    if (used > BOARD_PAGE_BYTES) {
        memset(fresh.map + BOARD_PAGE_BYTES, 0, used - BOARD_PAGE_BYTES);
    }
    uint64_t offset = first_pool_offset(count);
    for (size_t i = 0; i < count; i++) {
        lay_out_pool(&fresh, i, &specs[i], offset, kept, kept_count);
        offset += pool_bytes(specs[i].slots);
    }
    free(kept);
    h->magic = BOARD_MAGIC;
    h->version = BOARD_VERSION;
    h->size_bytes = total;
    h->handover = 0;
    atomic_store_explicit(&h->pool_count, (uint32_t)count, memory_order_release);
    board_close(b);
    *b = fresh;
    return 0;
}

uint32_t board_next_generation(const struct board *b)
{
    return (board_header(b)->generation + 1) & ~BOARD_LAYING_OUT;
}

static bool is_dead(pid_t pid)
{
    return pid <= 0 || (kill(pid, 0) == -1 && errno == ESRCH);
}

struct board_slot *board_slot_claim(struct board_pool *pool, uint32_t slots, pid_t pid)
{
    struct board_slot *s = board_slots(pool);
    for (int pass = 0; pass < 2; pass++) { /* the free ones first: asking for the dead costs a system call each */
        for (uint32_t i = 0; i < slots; i++) {
            int32_t owner = s[i].pid;
            if ((owner == 0 || (pass == 1 && is_dead(owner))) &&
                atomic_compare_exchange_strong(&s[i].pid, &owner, pid)) {
                s[i].busy = 0;
                return &s[i];
            }
        }
    }
    return NULL;
}

uint32_t board_pool_active(struct board_pool *pool, uint32_t slots, uint64_t *requests)
{
    struct board_slot *s = board_slots(pool);
    uint32_t active = 0;
    *requests = 0;
    for (uint32_t i = 0; i < slots; i++) {
        *requests += atomic_load_explicit(&s[i].requests, memory_order_relaxed);
        int32_t owner = atomic_load_explicit(&s[i].pid, memory_order_relaxed);
        if (owner == 0 || !atomic_load_explicit(&s[i].busy, memory_order_relaxed)) {
            continue;
        }
        if (is_dead(owner)) {
            atomic_compare_exchange_strong(&s[i].pid, &owner, 0);
        } else {
            active++;
        }
    }
    return active;
}

void board_keep_only(struct board *b, struct board_pool *keep, uint32_t slots)
{
    uint64_t first = first_pool_offset(board_pool_count(b));
    uint64_t from = keep ? (uint64_t)((unsigned char *)keep - b->map) : b->map_bytes;
    uint64_t to = keep ? from + pool_bytes(slots) : b->map_bytes;
    if (first > from) { /* the count is another than when `keep` was found: somebody scribbles */
        first = from;
    }
    if (first < from) {
        munmap(b->map + first, from - first);
    }
    if (to < b->map_bytes) {
        munmap(b->map + to, b->map_bytes - to);
    }
    mprotect(b->map, first, PROT_READ);
    b->map_bytes = first; /* nothing behind is looked for any more, whatever the board will say */
}

void board_text_set(struct board_text *text, const char *s)
{
    uint32_t seq = atomic_load_explicit(&text->seq, memory_order_relaxed) | 1u; /* odd, also after a writer that died */
    atomic_store_explicit(&text->seq, seq, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    size_t n = strnlen(s, BOARD_TEXT_BYTES - 1);
    memcpy(text->bytes, s, n);
    memset(text->bytes + n, 0, BOARD_TEXT_BYTES - n);
    atomic_store_explicit(&text->seq, seq + 1, memory_order_release);
}

void board_text_get(struct board_text *text, char out[static BOARD_TEXT_BYTES])
{
    for (int i = 0; i < TEXT_READ_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&text->seq, memory_order_acquire);
        memcpy(out, text->bytes, BOARD_TEXT_BYTES);
        out[BOARD_TEXT_BYTES - 1] = '\0';
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1u) && before == atomic_load_explicit(&text->seq, memory_order_relaxed)) {
            return;
        }
    }
    out[0] = '\0';
}

const char *board_state_name(uint32_t state)
{
    static const char *const names[BOARD_STATES] = {
        [BOARD_STARTING] = "starting",
        [BOARD_HEALTHY] = "healthy",
        [BOARD_DEGRADED] = "degraded",
        [BOARD_DRAINING] = "draining",
        [BOARD_MAINTENANCE] = "maintenance",
        [BOARD_DOWN] = "down",
    };
    return state < BOARD_STATES ? names[state] : "unknown";
}

void board_ring(int doorbell_fd)
{
    int saved = errno;
    uint64_t one = 1;
    if (doorbell_fd != -1 && write(doorbell_fd, &one, sizeof one) == -1) {
        /* EAGAIN: it rings already. Nothing else is left to do for a caller inside a signal handler. */
    }
    errno = saved;
}
