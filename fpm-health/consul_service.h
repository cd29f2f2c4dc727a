/*
 * One small state per service: what we want, what the agent has acknowledged, and at most one request in flight. A service
 * with something to do waits in `ready`; one that is told waits in `beats` for its next heartbeat. Shared by consul.c (what
 * the helper asks for), consul_service.c (the queues), consul_exchange.c (requests and what their answers mean) and
 * consul_inventory.c (what the agent has already).
 */
#ifndef FPM_HEALTH_CONSUL_SERVICE_H
#define FPM_HEALTH_CONSUL_SERVICE_H

#include "bounds.h"
#include "client.h"
#include "consul.h"

/* How our reasons for Consul's maintenance mode begin: what somebody else switched on is left alone. */
#define CONSUL_MAINTENANCE_MARK "fpm-health maint"

enum consul_queue { QUEUE_NONE, QUEUE_READY, QUEUE_BEATS };
enum consul_op { OP_LIST, OP_REGISTER, OP_UPDATE, OP_MAINTAIN, OP_DEREGISTER, OPS };
enum { CONSUL_OUTPUT_BYTES = BOARD_TEXT_BYTES + 32, CONSUL_BEAT_SLACK_MS = 25, CONSUL_CODE_CLASSES = 6 };

struct consul_service {
    struct consul *consul;
    struct pool *pool; /* NULL: the helper's own, or one that has vanished */
    char *id, *escaped_id;
    char *body;                     /* the registration as it should be */
    bool wanted, known, registered; /* known: the agent may have it; registered: has it as `body` says */
    bool refused;                   /* the agent called the registration wrong: said once */
    enum consul_op op;              /* in flight */
    bool busy;
    const char *status; /* "passing", "warning", "critical"; NULL: nothing to tell yet */
    char output[CONSUL_OUTPUT_BYTES];
    uint32_t news, told; /* numbers of the newest verdict and of the one the agent has acknowledged */
    uint32_t telling;
    bool maintenance, in_maintenance; /* Consul's own mode, as it should be and as the agent has it by our doing */
    bool maintaining;                 /* what the request in flight asks for */
    int64_t due_ms;                   /* of the next heartbeat */
    enum consul_queue queue;
    struct consul_service *next, *previous;
    struct consul_service *elder, *younger; /* in consul.services */
};

struct consul_list {
    struct consul_service *first, *last;
};

struct consul {
    struct loop *loop;
    struct instance *in;
    consul_changed *changed;
    void *context;
    struct client *client;
    struct loop_timer beat, retry;
    struct consul_list ready, beats;
    struct consul_service own;       /* the service `svcreg` */
    struct consul_service *services; /* all beside it, the dropped ones and leftovers included; the youngest */
    char routed_ip[64];
    bool listed; /* leftovers were looked for since Consul came back */
    bool listing;
    bool mending;     /* services that the agent had lost are being registered again */
    int64_t pause_ms; /* 0: no failure since the last success */
    enum { CONSUL_SERVING, CONSUL_LEAVING, CONSUL_LEFT } phase;
    bool retired; /* see consul_retire() */
    struct loop_timer deadline;
    uint64_t requests[OPS][CONSUL_CODE_CLASSES]; /* [op][status / 100], 0: no answer */
    uint64_t answers;
    double seconds;
};

/* A service of that ID with nothing to do yet. NULL: out of memory. */
struct consul_service *service_create(struct consul *consul, const char *id);
void service_forget(struct consul_service *service);

/* It has something to do: soon, or before all others. While its request is in flight it is looked at when that is over. */
void service_make_ready(struct consul_service *service, bool urgent);
void service_await_beat(struct consul_service *service, int64_t due_ms);
void service_leave_queue(struct consul_service *service);

/* What the agent has lost is registered anew, in no mode of maintenance. */
void service_mend(struct consul_service *service);

/* Sends as much as may be in flight. */
void consul_pump(struct consul *consul);

/* Asks what the agent has of ours; c->listed says when that is known. Returns 0, or -1: out of memory. */
int consul_take_inventory(struct consul *consul);

/* A failure is nobody's fault but Consul's: pause, counted from when it was asked, then one request at a time until one succeeds. */
void consul_fail(struct consul *consul, const char *error, double asked_seconds_ago);
void consul_succeed(struct consul *consul);

/* Counts an answer, and says in words what was wrong with it. */
void consul_count(struct consul *consul, enum consul_op op, const struct client_answer *answer);
void consul_describe(const struct client_answer *answer, char out[static BOARD_TEXT_BYTES]);

#endif
