/* What `fpm-health top` shows: an answer of /status, its pools in the order in which they need a look. Pure. */
#ifndef FPM_HEALTH_TOP_VIEW_H
#define FPM_HEALTH_TOP_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct top_pool {
    const char *name, *state, *reason;                   /* the snapshot's */
    int64_t active, total, max, queue, weight, requests; /* -1: not known */
    double rate;                                         /* requests a second; below 0: not known */
    bool registered;
};

struct top_snapshot {
    json_t *status;         /* owned */
    struct top_pool *pools; /* owned; sorted by name until top_sort() */
    size_t count;
    int64_t taken_ms;
};

struct top_look {
    int columns, rows; /* of the terminal; 0: no end, for plain output */
    size_t first;      /* of the pools, the topmost to be shown */
    bool colour;
    const char *trouble; /* why the snapshot is an old one; NULL: it is not */
    int64_t now_ms;
};

/* In the order in which pools need a look. */
enum { TOP_STATES = 6 };
extern const char *const top_states[TOP_STATES];

enum { TOP_FRAME_ROWS = 5 }; /* lines of a terminal that are not pools */

/* Takes over the parsed /status. False: out of memory; `status` is then released. */
bool top_take(struct top_snapshot *snapshot, json_t *status, int64_t now_ms);
void top_drop(struct top_snapshot *snapshot);

/* Requests a second since an earlier snapshot that is still sorted by name. */
void top_rate(struct top_snapshot *snapshot, const struct top_snapshot *before);

/* An index of the pools, in the order in which they need a look. NULL: out of memory. */
const struct top_pool **top_sort(const struct top_snapshot *snapshot);

void top_write(
    FILE *out, const struct top_snapshot *snapshot, const struct top_pool *const *order, const struct top_look *look);

#endif
