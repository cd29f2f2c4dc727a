/* What master.c and master_signals.c share: one of a process, and nobody else's business. */
#ifndef SVCREG_MASTER_STATE_H
#define SVCREG_MASTER_STATE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "board.h"
#include "fpm_config.h"
#include "helper.h"
#include "identity.h"

/* Whether a stop signal was seen, and what became of it. */
enum stop { STOP_NONE, STOP_HELD, STOP_PASSED };

/* `pid` tells whose words these are: a forked child has a copy that it must not act on. */
struct master {
    pid_t pid;    /* the process that MINIT ran in, then the daemonized master; 0: svcreg does nothing */
    bool claimed; /* FPM's handlers are wrapped: this is the master, and no launcher */
    bool forked;  /* a launcher that has forked: its child goes on */
    bool timer_made;
    timer_t timer;
    int tick_signal;
    int board_fd, doorbell_fd;
    struct board board;
    struct fpm_config config;
    struct master_identity identity;
    struct helper helper;
    void (*fpm_handler)(int); /* FPM's, for QUIT, TERM and USR2 alike */
    enum stop stop;
    uint64_t stop_deadline_ms;
    uint64_t drain_timeout_ms;
    uint64_t ttl_ms;    /* Consul's patience with the helper */
    uint32_t looks;     /* the helper's, while a stop is held: the newest seen, … */
    uint64_t looked_ms; /* … and when it was new */
};

extern struct master master;

#endif
