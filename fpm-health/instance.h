/* What the helper knows: one FPM instance and its pools. Modules with I/O fill it, dialects, metrics and status read it. */
#ifndef FPM_HEALTH_INSTANCE_H
#define FPM_HEALTH_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "board.h"
#include "config.h"
#include "drain.h"
#include "flight.h"
#include "trend.h"
#include "verdict.h"

struct consul_service;
struct sampler;

struct pool {
    const struct pool_config *config; /* the instance's */
    size_t index;                     /* in config.json and in the board */
    bool address_known;
    struct address address, status_address;
    struct policy policy;
    struct sample sample;
    struct history history;
    struct verdict verdict;
    struct trend trend;
    struct {
        uint32_t active, queue; /* the most that was seen */
        uint32_t limit_reached; /* how often the workers became as many as may be */
        bool at_limit;          /* they are */
        bool slow_known;
        uint64_t slow;       /* as FPM's status page counts them */
        uint64_t unanswered; /* pings and status pages */
    } ever;
    int64_t since_s;                                  /* Unix time of the last change of state */
    uint32_t transitions[BOARD_STATES][BOARD_STATES]; /* [from][to] */

    struct drain drain; /* of `fpm-health drain POOL` */
    bool unremembered;  /* drain or maintenance were asked for while the board was another configuration's */
    int64_t busy_ms;    /* when it was last seen active, queued or accepting */
    uint64_t busy_requests;

    struct sampler *sampler; /* whose flight it is */
    struct flight *flight;   /* the sampler's: the FastCGI request in flight */
    enum flight_kind flight_kind;
    bool doubted; /* it failed last time */
    struct {
        int64_t due_ms, late_ms; /* the next one's; when the one in flight is */
        uint32_t failures;       /* in a row */
        uint64_t requests;       /* answered, which the workers counted on the board like any other */
    } script;
    uint64_t board_requests; /* what they counted at the last look */
    int64_t ping_due_ms;
    bool counting;            /* ping_finished is of this socket and board */
    uint64_t ping_finished;   /* requests by the last ping: one that finishes later is as good as another */
    int64_t page_ms;          /* when FPM's status page was last read; 0: never */
    uint64_t status_requests; /* our own, which FPM's status page counts too */
    bool disallowed;          /* listen.allowed_clients is for others: FPM would hang up on us, and log it */
    bool local;               /* its address is of this host: the kernel can say whether it listens */
    bool waited;              /* requests did at the last look */
    bool seen_listening;      /* it did at least once */
    struct {
        bool listening;
        uint32_t queue, queue_max, connected, workers;
    } kernel; /* of this look */

    struct consul_service *service; /* consul.c's; NULL: not to be registered */
};

enum { PROBE_DIALECTS = 20, PROBE_CODES = 6 };

struct instance {
    struct config *config;
    struct pool **pools; /* each allocated: timers and fds in flight point at them */
    size_t pool_count;
    int64_t started_ms, started_s, sampled_ms, trend_due_ms;
    pid_t master_pid;          /* 0: unknown */
    int64_t master_started_s;  /* Unix time; 0: unknown */
    const struct board *board; /* the helper's; its map may be NULL */
    bool master_gone;
    bool stopping; /* a planned stop was asked for */
    enum board_consul consul_state;
    const char *consul_url; /* without a password */
    char consul_error[BOARD_TEXT_BYTES];
    char error[BOARD_TEXT_BYTES];                 /* what a person should know */
    uint64_t probes[PROBE_DIALECTS][PROBE_CODES]; /* answers given, see answers.c */
    char health_address[128];                     /* where HTTP is really served; empty: nowhere */
};

/* The pool of that name, or NULL. */
struct pool *instance_pool(const struct instance *instance, const char *name, size_t length);

/* Whether any pool is healthy or degraded; with none at all: false. */
bool instance_ready(const struct instance *instance);

/* Whether a restart would not help: false only when the master is gone, or every pool is down. */
bool instance_live(const struct instance *instance);

/* The pool whose state is worst, for an answer that has to stand for all. NULL without pools. */
const struct pool *instance_worst(const struct instance *instance);

/* When any pool was last seen active, queued or accepting; 0: never. */
int64_t instance_busy_ms(const struct instance *instance);

#endif
