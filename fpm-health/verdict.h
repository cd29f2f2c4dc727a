/* From what was seen of a pool to its state, reason and weight. Pure: the clock is passed in. */
#ifndef FPM_HEALTH_VERDICT_H
#define FPM_HEALTH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"

enum listening { LISTEN_UNKNOWN, LISTEN_ABSENT, LISTEN_PRESENT };

/* The last word of FastCGI. FORBIDDEN: we may not open the socket, LISTEN and an idle worker stand in. */
enum ping_result { PING_NONE, PING_GOOD, PING_BAD, PING_REFUSED, PING_FORBIDDEN };

/* The last word of a script of the pool's; NONE: it has not run. */
enum script_result { SCRIPT_NONE, SCRIPT_GOOD, SCRIPT_BAD };

struct script_news {
    enum script_result result;
    char reason[BOARD_TEXT_BYTES]; /* why BAD: its first line */
};

/* What one look at a pool gave. What could not be looked at is not `known`. */
struct sample {
    bool master_gone;
    bool stopping;           /* a planned stop of the whole FPM */
    bool drain, maintenance; /* asked for by a person */
    enum board_hold hold;
    char hold_reason[BOARD_TEXT_BYTES], control_reason[BOARD_TEXT_BYTES];

    enum listening listening;
    enum ping_result ping;
    uint32_t ping_failures; /* in a row */
    char ping_error[BOARD_TEXT_BYTES];
    struct script_news warmup, probe;

    bool workers_known;
    uint32_t total, active;
    bool queue_known;
    uint32_t queue, queue_max;
    bool requests_known;
    uint64_t requests;

    bool all_stopped; /* every worker is in state T */
    bool all_burning; /* since the last look every worker used CPU and none slept */
    int64_t burnt_ms; /* how long ago that look was */
};

struct policy {
    bool manual;           /* svcreg.ready=manual: starting until svcreg_ready() */
    bool warmup;           /* a script has to succeed first */
    uint32_t max_children; /* 0: unknown */
    int64_t hang_timeout_ms;
};

/* What the verdict remembers of earlier samples; all zero at first. */
struct history {
    bool served; /* LISTEN and a good ping were seen, and LISTEN since then */
    bool warm;   /* the warm-up succeeded since then */
    bool listened;
    bool saturated;
    int64_t looked_ms;               /* 0: never */
    int64_t crowded_ms, relieved_ms; /* since when more requests wait than workers idle, or no longer do; 0: not so */
    int64_t burning_ms;              /* since when all_burning and without progress; 0: not so */
    uint64_t requests;
    uint32_t queue;
    int64_t moved_ms; /* when one was last seen to begin */
    int64_t weighed_ms;
    uint32_t load; /* smoothed share of busy workers, in 1/1000 */
    uint32_t weight;
};

struct verdict {
    enum board_state state;
    uint32_t weight;               /* 1..100, 0 when draining, in maintenance or down */
    char reason[BOARD_TEXT_BYTES]; /* empty when healthy; the same text while the cause is the same */
};

void verdict_compute(const struct policy *policy, const struct sample *sample, struct history *history, int64_t now_ms,
    struct verdict *verdict);

/* From 0, healthy, to the worst. */
int verdict_badness(enum board_state state);

/* Whether a ping may be sent: nobody waits, and a worker is idle as far as one can see. */
bool verdict_may_ping(const struct sample *sample);

#endif
