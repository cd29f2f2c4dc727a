/* What each kind of answer says: HTTP head and body, rendered into memory of its own. For answers.c alone. */
#ifndef FPM_HEALTH_RENDER_H
#define FPM_HEALTH_RENDER_H

#include "dialect.h"
#include "instance.h"

struct consul;

/* After the dialects of one pool, those of all. */
enum kind {
    KIND_LIVE = DIALECT_POOL_COUNT,
    KIND_READY_ALL,
    KIND_HEALTH_ALL,
    KIND_ROOT,
    KIND_PAGE,
    KIND_METRICS,
    KIND_OPENMETRICS,
    KIND_STATUS,
    KIND_TREND,
    KIND_NOT_FOUND,
    KIND_ERROR,
    KINDS
};

_Static_assert((int)KINDS <= (int)PROBE_DIALECTS, "a row for each kind");

struct view {
    const struct instance *in;
    struct consul *const *consul;
    int64_t now_ms;
};

/* An answer and its memory, which belongs to it. */
struct slot {
    enum kind kind;
    struct pool *pool; /* NULL: of all */
    bool stale;
    int status; /* KIND_ERROR: what it is to be */
    char *room;
    size_t room_bytes;
    const char *bytes; /* in `room`; NULL: never rendered */
    size_t length, head_length;
};

/* Renders it anew. Out of memory: there are no bytes, and it is still stale. */
void render(const struct view *view, struct slot *slot);

#endif
