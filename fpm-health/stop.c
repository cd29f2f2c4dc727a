/*
 * How it ends. A planned stop: the board's word goes RUN, DRAIN (master), GO (we, when quiet), LEAVING (master), GONE (we,
 * deregistered). An unplanned one: the master's pidfd fires. See helper.h, board.h and drain.h.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "log.h"
#include "notify.h"
#include "procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void declare_master_gone(struct helper *h)
{
    if (h->in.master_gone) {
        return;
    }
    h->in.master_gone = true;
    if (!h->leaving) {
        log_warning("FPM's master %d is gone", h->in.master_pid);
    }
    helper_follow_board(h);
    sampler_look_at_board(h->sampler); /* critical at once; whether orphans serve on is seen next */
    sampler_hurry(h->sampler);
}

static void on_master_end(struct loop_io *io, uint32_t events)
{
    struct helper *h = container_of(io, struct helper, master);
    (void)events;
    loop_remove(&h->loop, io);
    close(io->fd);
    io->fd = -1;
    if (helper_has_board(h)) {
        const struct board_header *header = board_header(&h->board);
        if (header->handover && header->master_pid == h->in.master_pid) {
            loop_set(&h->loop, &h->handover, h->loop.now_ms + HANDOVER_MS);
            return;
        }
        if (header->master_pid != h->in.master_pid && helper_watch_master(h)) {
            return;
        }
    }
    declare_master_gone(h);
}

static void on_handover_missed(struct loop_timer *timer)
{
    struct helper *h = container_of(timer, struct helper, handover);
    declare_master_gone(h);
}

/* Watches the master that the board, else the configuration, names. Returns false when it is gone already. */
bool helper_watch_master(struct helper *h)
{
    pid_t pid = (pid_t)h->in.config->master.pid;
    uint64_t start = (uint64_t)h->in.config->master.start_time;
    if (helper_has_board(h)) {
        pid = board_header(&h->board)->master_pid;
        start = board_header(&h->board)->master_start;
    }
    if (h->master.fd != -1 && pid == h->in.master_pid) {
        return true;
    }
    if (h->master.fd != -1) {
        loop_remove(&h->loop, &h->master);
        close(h->master.fd);
        h->master.fd = -1;
    }
    loop_clear(&h->loop, &h->handover);
    h->handover.fire = on_handover_missed;
    h->in.master_pid = pid > 0 ? pid : 0;
    h->in.master_started_s = procfs_unix_time(start);
    if (pid <= 0) {
        return !helper_has_board(h);
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd != -1 && start && procfs_start_time(pid) != start) { /* another process by now, or half of a change: */
        h->in.master_pid = 0;                                   /* the next ring has it looked at again */
        close(fd);
        fd = -1;
        errno = ESRCH;
    }
    if (fd == -1) {
        if (errno != ESRCH) {
            log_error("FPM's master %d can't be watched: %s", pid, strerror(errno));
            return true;
        }
        return false;
    }
    h->in.master_gone = false;
    h->master = (struct loop_io){fd, on_master_end};
    return loop_add(&h->loop, &h->master, EPOLLIN) == 0;
}

static void begin_stop(struct helper *h)
{
    if (!h->in.stopping) {
        log_notice("draining: FPM is to stop");
        notify_stopping();
        h->in.stopping = true;
        drain_begin(&h->stop, h->loop.now_ms);
        sampler_hurry(h->sampler);
    }
}

void helper_follow_board(struct helper *h)
{
    if (!helper_has_board(h)) {
        return;
    }
    struct board_header *header = board_header(&h->board);
    if (header->generation != (uint32_t)h->in.config->generation || header->acked_generation != header->generation) {
        helper_reload(h);
        if (h->done) {
            return;
        }
        header = board_header(&h->board);
    }
    if (header->master_pid != h->in.master_pid && !helper_watch_master(h)) {
        declare_master_gone(h);
    }
    switch ((enum board_stop)header->stop) {
    case BOARD_DRAIN:
    case BOARD_GO: begin_stop(h); break;
    case BOARD_LEAVING: helper_leave(h); break;
    default:
        if (!h->signalled && h->in.stopping) { /* whoever asked for the stop took it back */
            h->in.stopping = false;
            h->stop = (struct drain){0};
        }
    }
}

static bool all_told(const struct helper *h)
{
    for (size_t i = 0; h->consul && i < h->in.pool_count; i++) {
        const struct pool *p = h->in.pools[i];
        if (p->service && !consul_told(p->service)) {
            return false;
        }
    }
    return true;
}

static void finish_drain(struct helper *h)
{
    if (!helper_has_board(h)) {
        helper_leave(h);
        return;
    }
    uint32_t drain = BOARD_DRAIN;
    if (atomic_compare_exchange_strong(&board_header(&h->board)->stop, &drain, BOARD_GO)) {
        log_notice("drained: %s, FPM may stop",
            h->stop.phase == DRAIN_OVERDUE ? "the deadline passed before it was quiet" : "nobody comes any more");
    }
}

/* Without a master, registrations last as long as its sockets do: orphaned workers serve on behind them. */
static void follow_orphans(struct helper *h)
{
    struct stat st;
    for (size_t i = 0; i < h->in.pool_count; i++) {
        if (h->in.pools[i]->sample.listening == LISTEN_PRESENT) {
            if (h->config_path && stat(h->config_path, &st) == 0 && st.st_ino != h->config_inode) {
                helper_yield(h, "another FPM has taken this instance over");
            }
            return;
        }
    }
    helper_leave(h);
}

void helper_step_stop(struct helper *h)
{
    const struct config *c = h->in.config;
    if (h->retired && consul_left(h->retired)) {
        consul_destroy(h->retired);
        h->retired = NULL;
    }
    if (h->leaving) {
        if (!h->done && !h->retired && (!h->consul || consul_left(h->consul))) {
            if (helper_has_board(h) && board_header(&h->board)->stop == BOARD_LEAVING) {
                board_header(&h->board)->stop = BOARD_GONE;
            }
            log_notice("left");
            h->done = true;
        }
        return;
    }
    if (h->in.stopping) {
        struct drain_policy policy = {c->drain.quiet_ms, c->drain.probers_ms, c->drain.timeout_ms};
        struct drain_view view = {
            .consul_told = all_told(h),
            .probers_told = probers_told(server_probers(h->server), h->loop.now_ms),
            .busy_ms = instance_busy_ms(&h->in),
        };
        if (drain_step(&h->stop, &policy, &view, h->loop.now_ms)) {
            finish_drain(h);
        }
    }
    if (h->in.master_gone && !h->leaving && h->in.sampled_ms > 0) {
        follow_orphans(h);
    }
}

void helper_leave(struct helper *h)
{
    if (h->leaving) {
        return;
    }
    h->leaving = true;
    if (!h->in.stopping) {
        h->in.stopping = true;
        notify_stopping();
    }
    if (h->consul) {
        consul_leave(h->consul);
    }
    loop_set(&h->loop, &h->step, h->loop.now_ms);
}

void helper_yield(struct helper *h, const char *why)
{
    log_notice("leaving the registrations to a successor: %s", why);
    h->exit_code = EXIT_LEFT_TO_SUCCESSOR;
    h->done = true;
}

void helper_stop_by_signal(struct helper *h)
{
    if (!h->signalled) {
        h->signalled = true;
        begin_stop(h);
        sampler_look_at_board(h->sampler);
    } else if (helper_has_board(h)) {
        helper_yield(h, "asked a second time");
    } else {
        helper_leave(h);
    }
}
