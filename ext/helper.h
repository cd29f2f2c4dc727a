/*
 * Starts fpm-health and notices its death. Everything here but helper_prepare() and helper_free() may run inside a
 * signal handler: no allocation, no lock, no stdio.
 *
 * The lifeline is a pipe whose write end lives in the helper alone. The master's read end is in O_ASYNC mode, so that the
 * helper's death sends the master a signal: nothing polls, and nothing waits for a child.
 */
#ifndef SVCREG_HELPER_H
#define SVCREG_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct helper {
    char *path;        /* the binary */
    char *config_path; /* its config.json */
    bool keep_stderr;  /* false: /dev/null */
    int lifeline_fd;   /* read end, owned; -1: none */
    int signo;         /* what its end sends */
    uint64_t started_ms;
    uint64_t retry_ms; /* when to try again; 0: it runs, or was never started */
    uint32_t failures; /* in a row */
    int error;         /* errno of the last try to start it; 0: none */
};

/* Copies both paths. Returns 0, or -1 when there is no memory. */
int helper_prepare(struct helper *h, const char *path, const char *config_path, bool keep_stderr, int signo);
void helper_free(struct helper *h);

/* Starts a helper, detached (the caller has no child afterwards). Returns 0, or -1 with h->error and h->retry_ms set. */
int helper_start(struct helper *h, int board_fd, int doorbell_fd, uint64_t now_ms);

/* Takes over a lifeline that came through exec, or into a daemonized child: its end signals this process from now on. */
void helper_adopt(struct helper *h, int lifeline_fd);

/* True while the helper that was started lives. Closes the lifeline of a dead one and sets when to try again. */
bool helper_alive(struct helper *h, uint64_t now_ms);

#endif
