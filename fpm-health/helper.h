/* The helper as a whole: what serve.c starts, and what its parts (judge.c, reload.c, stop.c, control.c) share. */
#ifndef FPM_HEALTH_HELPER_H
#define FPM_HEALTH_HELPER_H

#include "answers.h"
#include "consul.h"
#include "instance.h"
#include "loop.h"
#include "sampler.h"
#include "server.h"

enum { EXIT_LEFT_TO_SUCCESSOR = 75 };

struct helper {
    struct loop loop;
    struct instance in;
    struct board board;                 /* map NULL: there is none */
    int board_fd, lifeline_fd, lock_fd; /* -1: none */
    const char *config_path;            /* NULL: from the command line */
    ino_t config_inode;                 /* of the file that is in force */

    struct answers *answers;
    struct server *server;
    struct sampler *sampler;
    struct consul *consul;            /* NULL: off */
    struct consul *retired;           /* deregisters where we were before a reload; NULL: done */
    char refused[CONFIG_ERROR_BYTES]; /* why the file was refused last; said once */

    struct loop_io doorbell, signals, master;
    struct loop_timer doorbell_gap, handover, step, startup;
    int64_t rung_ms;
    struct drain stop; /* the planned stop of all */
    bool signalled;    /* a stop was asked for by a signal to us */
    bool leaving;
    bool done;
    int exit_code;
};

static inline bool helper_has_board(const struct helper *h)
{
    return h->board.map != NULL;
}

/* judge.c: verdicts, and what follows from them for answers, Consul, board and log. */
void helper_judge(void *helper, struct pool *pool);         /* after each look of the sampler; NULL: at all pools */
void helper_publish_consul(void *helper);                   /* after each change of Consul's mood */
void helper_note_error(struct helper *h, const char *text); /* what a person should know; empty: nothing any more */

/* takeover.c: takes over a configuration; `config` is then the instance's. False: the helper has to leave, exit_code is set. */
bool helper_take_config(struct helper *h, struct config *config);
void helper_release_pools(struct helper *h);

/* reload.c: reads the file anew, and leaves everything as it was where that is wrong; on SIGHUP it says so each time. */
void helper_reload(struct helper *h);
void helper_reload_asked(struct helper *h);

/* Opens what `config` says in place of what is open. False: at least one was refused for want of rights. */
bool helper_open_listeners(struct helper *h, const struct config *config);

/* stop.c: planned stop, master's end, leaving. */
bool helper_watch_master(struct helper *h);
void helper_follow_board(struct helper *h); /* the words of the master: stop, generation, pid */
void helper_step_stop(struct helper *h);
void helper_stop_by_signal(struct helper *h);
void helper_leave(struct helper *h);
void helper_yield(struct helper *h, const char *why); /* leaves without deregistering: a successor carries on */

/* control.c: a control_handler, and what it keeps in the board: at once, or when a reload that is under way is over. */
int helper_control(void *helper, const struct http_request *request, struct writer *body);
void helper_remember_control(struct helper *h, struct pool *p);

#endif
