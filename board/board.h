/*
 * The board: shared memory between the PHP-FPM master, its workers and fpm-health.
 *
 * One memfd, sealed against shrinking, laid out as
 *
 *     page 0        struct board_header
 *     then          struct board_pool_info[pool_count], the order of config.json's "pools"
 *     then, a pool  struct board_pool, struct board_slot[slots]; each pool begins on a page of its own
 *
 * so that a worker can keep its own pool's pages and unmap all others. Every word has one writer, named beside it; both
 * sides treat what they read as hostile: offsets and counts are checked against the mapping, texts have a length.
 * The doorbell, an eventfd that travels with the memfd, is rung after each change that the helper must see at once.
 */
#ifndef SVCREG_BOARD_H
#define SVCREG_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_MAGIC UINT64_C(0x44524f4247455256) /* "VREGBORD" */
#define BOARD_VERSION 1u
#define BOARD_PAGE_BYTES 4096u
#define BOARD_TEXT_BYTES 120u  /* longest text, with its final NUL */
#define BOARD_NAME_BYTES 64u   /* a pool's name, cut; only to find a pool again after a reload */
#define BOARD_MAX_POOLS 65536u /* more is refused: an offset computed from it can't overflow */
#define BOARD_MAX_SLOTS 65536u /* of one pool */

/*
 * A bit of `generation`, set from the moment at which a reload begins to lay the board out until its config.json is
 * there: no configuration is of such a generation, so a helper with the former one writes nothing into others' places.
 */
#define BOARD_LAYING_OUT UINT32_C(0x80000000)

/* A short text that is read while it may be written (a sequence lock: odd while it is being written). */
struct board_text {
    _Atomic uint32_t seq;
    char bytes[BOARD_TEXT_BYTES];
};

/* What a planned stop has reached; see board_header.stop. */
enum board_stop {
    BOARD_RUN,     /* serving */
    BOARD_DRAIN,   /* master: a stop signal came and is held back */
    BOARD_GO,      /* helper: quiet, FPM may have its signal */
    BOARD_LEAVING, /* master: every worker has gone, deregister now */
    BOARD_GONE     /* helper: deregistered (or gave up trying) */
};

/* A pool's verdict, in the words of the outside; see board_state_name(). */
enum board_state {
    BOARD_STARTING,
    BOARD_HEALTHY,
    BOARD_DEGRADED,
    BOARD_DRAINING,
    BOARD_MAINTENANCE,
    BOARD_DOWN,
    BOARD_STATES
};

/* What PHP code said of its pool. */
enum board_hold {
    BOARD_HOLD_NONE, /* nothing said: svcreg.ready decides */
    BOARD_HOLD_READY,
    BOARD_HOLD_UNREADY
};

/* How the helper and Consul get on. */
enum board_consul { BOARD_CONSUL_OFF, BOARD_CONSUL_CONNECTING, BOARD_CONSUL_OK, BOARD_CONSUL_FAILING };

struct board_header {
    uint64_t magic;                    /* master */
    uint32_t version;                  /* master; a helper that does not know it leaves */
    _Atomic uint32_t pool_count;       /* master */
    _Atomic uint64_t size_bytes;       /* master: of the whole layout */
    _Atomic uint32_t generation;       /* master: raised after each new config.json; see BOARD_LAYING_OUT */
    _Atomic uint32_t acked_generation; /* helper: the newest it has taken over */
    _Atomic int32_t master_pid;        /* master; with -D it changes once, from the launcher's to the master's */
    _Atomic uint32_t handover;         /* master: 1 from a launcher's fork until the daemonized master is there */
    _Atomic uint64_t master_start;     /* master: field 22 of /proc/PID/stat */
    _Atomic uint32_t stop;             /* enum board_stop; DRAIN and LEAVING master, GO and GONE helper */
    _Atomic int32_t helper_pid;        /* helper */
    _Atomic uint64_t helper_started_s; /* helper: Unix time */
    _Atomic uint32_t consul_state;     /* helper: enum board_consul */
    struct board_text helper_error;    /* helper: last error that a person should know; empty: none */
    struct board_text consul_error;    /* helper */
    _Atomic uint32_t looks;            /* helper: raised with each look at the pools; stands still while it is frozen */
};

struct board_pool_info {
    char name[BOARD_NAME_BYTES];        /* master */
    _Atomic uint64_t pool_offset_bytes; /* master: where its struct board_pool is */
    _Atomic uint32_t slots;             /* master */
    _Atomic uint32_t state;             /* helper: enum board_state */
    _Atomic uint32_t weight;            /* helper: 0..100 */
    _Atomic uint32_t workers_total;     /* helper */
    _Atomic uint32_t workers_active;    /* helper */
    _Atomic uint32_t queue_length;      /* helper */
    _Atomic uint32_t queue_max;         /* helper */
    _Atomic uint32_t registered;        /* helper: 1 while Consul has acknowledged the registration */
    _Atomic uint64_t requests;          /* helper: since FPM's start or reload, without our own pings */
    _Atomic uint64_t since_s;           /* helper: Unix time of the last change of state */
    _Atomic uint32_t drain;             /* helper: 1 after `fpm-health drain`; outlives the helper */
    _Atomic uint32_t maintenance;       /* helper: 1 after `fpm-health maint on`; outlives the helper */
    struct board_text reason;           /* helper */
    struct board_text control_reason;   /* helper: why maintenance; outlives the helper */
};

struct board_pool {
    _Alignas(64) _Atomic uint32_t hold; /* workers: enum board_hold; survives a reload */
    struct board_text hold_reason;      /* workers */
};

/* One worker's cache line. Plain relaxed stores by its owner; requests only grows, also from one owner to the next. */
struct board_slot {
    _Alignas(
        64) _Atomic int32_t pid; /* 0: free. The owner, taken by compare-and-swap; cleared by whoever sees it dead */
    _Atomic uint32_t busy;       /* 1 between the start and the end of a request */
    _Atomic uint64_t requests;   /* started */
};

/* A process's view of the board. Owns the mapping; the fd stays the caller's. */
struct board {
    unsigned char *map; /* NULL: closed */
    size_t map_bytes;
};

/* What a pool's place in a new layout needs. `name` is the caller's and is copied. */
struct board_spec {
    const char *name;
    uint32_t slots;
};

/* Makes an empty memfd for board_layout(), CLOEXEC, sealed against shrinking. Returns the fd, or -1 with errno. */
int board_create(void);

/*
 * Lays the board in `fd` out for `count` pools, growing it where needed, and maps it into `b` (closing what `b` held).
 * Of an earlier layout it keeps, by name, what must survive a reload: hold, drain, maintenance and their reasons; and
 * helper_pid, acked_generation, stop, generation, which is marked with BOARD_LAYING_OUT. The caller then sets the master's
 * words, board_next_generation() last. Returns 0, or -1 with errno: the board is as it was before.
 */
int board_layout(struct board *b, int fd, const struct board_spec *specs, size_t count);

/* The generation of the configuration that follows, unmarked. */
uint32_t board_next_generation(const struct board *b);

/* Whether `fd` can't shrink, as board_create() has it; a file that does kills who has it mapped, by SIGBUS. */
bool board_is_sealed(int fd);

/* Maps an existing board. Returns 0, or -1 with errno; EPROTO: not a board, EPROTONOSUPPORT: of another version. */
int board_open(struct board *b, int fd);

/* Unmaps. Harmless when already closed. */
void board_close(struct board *b);

/* The header; never NULL for an open board. */
struct board_header *board_header(const struct board *b);

/* How many pools really fit the mapping, whatever the header says. */
size_t board_pool_count(const struct board *b);

/* Pool `i`'s info, or NULL where `i` is out of range. */
struct board_pool_info *board_info(const struct board *b, size_t i);

/* Pool `i`'s own part and, in *slots, how many slots it has. NULL where anything about it is out of range. */
struct board_pool *board_pool(const struct board *b, size_t i, uint32_t *slots);

/* The slots of a pool from board_pool(). */
struct board_slot *board_slots(struct board_pool *pool);

/*
 * Takes a free slot for `pid`, or one whose owner is dead. Returns NULL when all are taken by the living: the worker
 * then goes uncounted. A slot left busy by the dead is idle again.
 */
struct board_slot *board_slot_claim(struct board_pool *pool, uint32_t slots, pid_t pid);

/* Busy slots of living workers and, in *requests, all requests started so far. Frees the slots of the dead. */
uint32_t board_pool_active(struct board_pool *pool, uint32_t slots, uint64_t *requests);

/*
 * Unmaps every pool's part but `keep`, from board_pool() (all of them where it is NULL), and makes the rest read-only.
 * From then on board_pool() finds none; `keep` stays mapped until the process ends.
 */
void board_keep_only(struct board *b, struct board_pool *keep, uint32_t slots);

/* Writes a text, cut to what fits. Safe against concurrent readers, not against a second writer. */
void board_text_set(struct board_text *text, const char *s);

/* Copies a text into `out`, always ended; empty if it keeps changing while it is read. */
void board_text_get(struct board_text *text, char out[static BOARD_TEXT_BYTES]);

/* "starting", "healthy", …; "unknown" where `state` is no enum board_state. */
const char *board_state_name(uint32_t state);

/* Adds one to the doorbell. Async-signal-safe; an fd of -1 is silently nothing. */
void board_ring(int doorbell_fd);

#endif
