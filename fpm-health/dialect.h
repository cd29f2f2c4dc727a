/* One verdict in each prober's words: the table of docs/probers.md. Pure. */
#ifndef FPM_HEALTH_DIALECT_H
#define FPM_HEALTH_DIALECT_H

#include "verdict.h"
#include "writer.h"

enum dialect {
    DIALECT_HEALTH, /* application/health+json of one pool */
    DIALECT_READY,
    DIALECT_CONSUL,
    DIALECT_HAPROXY,
    DIALECT_F5,
    DIALECT_AGENT,     /* HAProxy's agent-check: no HTTP around it */
    DIALECT_POOL_COUNT /* how many dialects speak of one pool */
};

struct subject {
    const char *pool;
    const struct verdict *verdict;
    const struct sample *sample;
};

/* The HTTP status that tells `state`. */
int dialect_status(enum dialect dialect, enum board_state state);

const char *dialect_content_type(enum dialect dialect);

/* Header lines, each ended by CRLF, or "". */
const char *dialect_headers(enum dialect dialect, enum board_state state);

void dialect_body(enum dialect dialect, const struct subject *subject, struct writer *w);

/* "pass", "warn", "fail" of application/health+json. */
const char *dialect_health_word(enum board_state state);

/* One member of health+json's "checks". */
void dialect_health_check(const struct subject *subject, struct writer *w);

/* `OK - web healthy | active=…` and the exit code that goes with it. */
int dialect_nagios(const struct subject *subject, struct writer *w);

/* The first words of a check's output: "healthy", "degraded: saturated". */
void dialect_state_line(const struct verdict *verdict, struct writer *w);

#endif
