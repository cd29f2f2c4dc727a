/* The last minutes of a pool, for charts: a ring of equal spans, each with the most and the worst seen in it. Pure. */
#ifndef FPM_HEALTH_TREND_H
#define FPM_HEALTH_TREND_H

#include "bounds.h"
#include "verdict.h"
#include "writer.h"

enum { TREND_UNKNOWN = UINT16_MAX };

struct trend_span {
    uint32_t requests;             /* begun in it; UINT32_MAX: not known */
    uint16_t active, total, queue; /* the most; TREND_UNKNOWN: not known */
    uint8_t state;                 /* the worst */
};

/* All zero at first. */
struct trend {
    struct trend_span spans[TREND_SPANS]; /* a ring: `ended` counts on */
    struct trend_span now;                /* the one that has not ended */
    uint32_t ended;
    bool begun, counts;       /* `now` holds something; requests were known when it began */
    uint64_t requests_before; /* it began */
};

/* What one look gave. */
void trend_note(struct trend *trend, const struct sample *sample, enum board_state state);

/* A span is over, after trend_note(). */
void trend_turn(struct trend *trend, const struct sample *sample);

/* The spans as a JSON object of lists, the oldest first. */
void trend_render(const struct trend *trend, struct writer *w);

#endif
