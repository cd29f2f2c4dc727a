/* Ready answers: each path of the table leads to bytes that are rendered when first asked for after a change. */
#ifndef FPM_HEALTH_ANSWERS_H
#define FPM_HEALTH_ANSWERS_H

#include "http.h"
#include "instance.h"

struct answers;
struct consul;

/* The bytes of one answer. Belongs to its `answers`; valid until the next answers_*() call of the same. */
struct answer {
    const char *bytes; /* status line, headers, CRLF, body */
    size_t length;
    size_t head_length; /* status line and headers: the CRLF of the empty line comes next */
    uint64_t *count;    /* to be raised for each time it is given */
    uint64_t question;  /* which one it was, whatever the answer is now */
    bool tells;         /* a load balancer's question: a drain waits until it has been asked once more */
    bool drains;        /* and the answer says drain */
};

/* Lays out the table for the instance's pools. NULL: out of memory. */
struct answers *answers_create(struct instance *instance, struct consul **consul);
void answers_destroy(struct answers *answers);

/* The answer to what `request` asks for; for an unknown path, the 404. Its `bytes` are NULL where memory was short. */
struct answer answers_find(struct answers *answers, const struct http_request *request, int64_t now_ms);

/* The agent-check line of the named pool; of the worst one without a name. No HTTP around it. */
struct answer answers_agent(struct answers *answers, const char *pool, size_t length);

/* Whether there is one pool, so that nobody need name it. */
bool answers_single_pool(const struct answers *answers);

/* An error's answer, after which the connection is closed: 400, 405, 413, 431, 501, 505, 503. */
struct answer answers_error(struct answers *answers, int status);

/* What the pool's verdict changed; what each new sample changes. */
void answers_pool_changed(struct answers *answers, const struct pool *pool);
void answers_sampled(struct answers *answers);

/* Names for svcreg_probes_total. */
const char *answers_dialect_name(int dialect);
int answers_code(int code);

#endif
