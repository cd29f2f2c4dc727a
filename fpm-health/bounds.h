/* Every limit of fpm-health, with its unit. What an administrator sets is in config.json, with its bounds in config_fields.c. */
#ifndef FPM_HEALTH_BOUNDS_H
#define FPM_HEALTH_BOUNDS_H

enum {
    /* one HTTP request */
    HTTP_HEAD_MAX_BYTES = 8192,
    HTTP_BODY_MAX_BYTES = 4096,
    HTTP_LENGTH_MAX_DIGITS = 9,

    /* HTTP connections */
    SERVER_INPUT_BYTES = 64 * 1024,           /* one read: a batch of pipelined requests */
    SERVER_OUTPUT_BYTES = 64 * 1024,          /* one write: their answers */
    SERVER_KNOWN_BYTES = 512,                 /* a request up to that long is known again */
    SERVER_UNREAD_BYTES = 128 * 1024,         /* what the kernel holds of them for a peer that does not read */
    SERVER_HELD_MAX_BYTES = 16 * 1024 * 1024, /* answers that slow readers have not taken yet, all together */
    SERVER_CONNECTIONS_MAX = 16384,
    SERVER_ACCEPT_BATCH = 64,
    SERVER_LISTENERS_MAX = 16,
    SERVER_BACKLOG = 1024,
    SERVER_DEFER_S = 1,     /* the kernel keeps a connection to itself on which nothing is asked for so long */
    SERVER_PORT_TRIES = 16, /* the next free port where the wanted one is taken */
    SERVER_IDLE_MS = 75 * 1000,
    SERVER_HEAD_MS = 5 * 1000, /* from the first byte of a request to its last */
    SERVER_WRITE_MS = 5 * 1000,
    SERVER_LINGER_MS = 1000,
    SERVER_RESERVED_FDS = 64, /* for everything that is not a prober's connection */
    AGENT_WAIT_MS = 20,
    AGENT_LINE_MAX_BYTES = 256,

    /* probers that a drain waits for */
    PROBERS_MAX = 256,
    PROBER_RECENT_MS = 10 * 1000,

    /* the loop */
    LOOP_EVENTS = 64,
    STANDSTILL_MS = 1000,   /* a timer or a look so late: the process was frozen or starved */
    STARTUP_OVER_MS = 3000, /* what start-up needed of memory is given up then */
    DOORBELL_GAP_MS = 5,    /* a doorbell that never stops ringing costs this much quiet each time */

    /* sampling */
    SAMPLE_MS = 250,
    SAMPLE_SHARE_US = 500, /* of a pool, where that makes more, up to … */
    SAMPLE_SELDOM_MS = 500,
    SAMPLE_QUIET_AFTER_MS = 5 * 1000, /* no request for so long: as seldom */
    SAMPLE_FIRST_MS = 10,             /* until every pool has been seen healthy, … */
    SAMPLE_FIRST_FOR_MS = 5 * 1000,   /* … then slower and slower */
    SAMPLE_DRAIN_MS = 25,
    WORKERS_MAX = 65536,
    DIAG_REPLY_BYTES = 64 * 1024,
    DIAG_REPLIES_MAX = 256, /* of one dump: bounds what a host with very many sockets costs */

    /* FastCGI */
    FLIGHTS_MAX = 128,
    FLIGHT_LOOK_MS = 2,                     /* from a request to the first look for its answer, … */
    FLIGHT_LOOK_LATE_MS = 6,                /* … and to the second: FPM's worker waits for it */
    FLIGHTS_DOUBTFUL_MAX = FLIGHTS_MAX / 2, /* to pools that failed last time */
    PING_TIMEOUT_MS = 1000,
    PING_RETRY_MS = 100, /* after a failed one, doubled up to … */
    PING_RETRY_MAX_MS = 5 * 1000,
    PING_ANSWER_MAX_BYTES = 64 * 1024,
    PING_FAILURES = 3, /* so many in a row are evidence */
    PING_EVERY_MS = 5 * 1000,
    PING_SHARE_MS = 20, /* between two pings, to whichever pools: a thousand are asked every 20 s */
    PING_TOGETHER = 16, /* pools asked at the same moment: so many answers are there when they are looked for */
    STATUS_EVERY_MS = 1000,
    STATUS_FRESH_MS = 2000,
    SCRIPT_MAX_BYTES = 1024, /* path and query of a warm-up or probe script */
    WARMUP_TIMEOUT_MS = 30 * 1000,
    PROBE_TIMEOUT_MS = 5 * 1000,
    SCRIPT_HELD_MS = 10 * 60 * 1000, /* one that hangs is given up, and may be sent again */

    /* metrics */
    METRICS_WORKERS_MAX = 512, /* with more of them, single workers are left out */

    /* the last minutes of a pool, for charts */
    TREND_SPAN_MS = 5 * 1000,
    TREND_SPANS = 60,

    /* verdict */
    SATURATED_AFTER_MS = 500,
    SATURATED_CLEAR_MS = 500,
    WEIGHT_EVERY_MS = 250,
    WEIGHT_STEP = 10,
    WEIGHT_IDLE = 98, /* counts as 100: the average of a pool that fell idle comes near it soon, to it late */

    /* Consul */
    CONSUL_IN_FLIGHT = 16,
    CONSUL_CONNECT_TIMEOUT_MS = 1000,
    CONSUL_NAME_S = 1, /* an address is believed: a Consul that comes back may have another (libcurl's own: a minute) */
    CONSUL_TIMEOUT_MS = 1500, /* as long as the longest pause, and for the same reason */
    CONSUL_ANSWER_MAX_BYTES = 4 * 1024 * 1024,
    CONSUL_TAKEN_MAX_BYTES = 64 * 1024, /* of an answer to what it was told: "true", or why not */
    CONSUL_RETRY_MS = 100,              /* first pause after a failure, doubled up to … */
    CONSUL_RETRY_MAX_MS = 1500,         /* … well below 5 s: the state has to be back 2 s after Consul */
    CONSUL_REFUSED_RETRY_MS = 5000,     /* of a registration that Consul calls wrong */
    CONSUL_LEAVE_MS = 1500,
    CONSUL_LEAVE_SHARE_MS = 2, /* more for each pool */
    CONSUL_FEW_POOLS = 20,
    /* of more, the helper's heartbeat stands for all: when it is missed, all turn, and the agent has work for a second or two */
    CONSUL_SHARED_TTL_MS = 2500,
    /* each is told all the same, as often as an agent looks at the catalog: so it shows when the agent has lost one */
    CONSUL_POOL_BEAT_MS = 60 * 1000,
    CONSUL_POOL_TTL_MS = 3 * CONSUL_POOL_BEAT_MS,
    CONSUL_BEAT_TOGETHER = 64,  /* pools that are told at the same moment */
    CONSUL_BEAT_APART_MS = 500, /* between two such groups */
    CONSUL_LEFTOVERS_MAX = 1024,

    /* stopping */
    DRAIN_ACK_MS = 1000, /* the longest wait for Consul to take note of a drain */
    HANDOVER_MS = 2000,
    ORPHAN_LOOK_MS = 250,
    LOCK_WAIT_MS = 5000,
    LOCK_TRY_MS = 20,
    RELOAD_RETRY_MS = 50,

    /* configuration */
    CONFIG_MAX_BYTES = 16 * 1024 * 1024,
    TOKEN_MAX_BYTES = 4096,
    CLI_ANSWER_MAX_BYTES = 32 * 1024 * 1024,
    CLI_TIMEOUT_MS = 5000,
};

#endif
