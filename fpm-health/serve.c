/* The helper's life: what needs rights first, then without them the loop; see serve.h. */
#define _GNU_SOURCE
#include "serve.h"

#include "client.h"
#include "helper.h"
#include "log.h"
#include "memory.h"
#include "notify.h"
#include "run_dir.h"
#include "sandbox.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void look_at_doorbell(struct helper *h)
{
    h->rung_ms = h->loop.now_ms;
    helper_follow_board(h);
    if (!h->done) {
        sampler_look_at_board(h->sampler);
    }
}

/* A doorbell that never stops must not keep us busy: after each ring it is covered for a moment. */
static void on_doorbell(struct loop_io *io, uint32_t events)
{
    struct helper *h = container_of(io, struct helper, doorbell);
    uint64_t rings;
    (void)events;
    if (read(io->fd, &rings, sizeof rings) == -1 && errno != EAGAIN) {
        log_error("doorbell: %s", strerror(errno));
        loop_remove(&h->loop, io);
        return;
    }
    int64_t allowed_ms = h->rung_ms + DOORBELL_GAP_MS;
    if (h->loop.now_ms >= allowed_ms) {
        look_at_doorbell(h);
    } else {
        loop_change(&h->loop, io, 0);
        loop_set(&h->loop, &h->doorbell_gap, allowed_ms);
    }
}

static void on_doorbell_gap(struct loop_timer *timer)
{
    struct helper *h = container_of(timer, struct helper, doorbell_gap);
    loop_change(&h->loop, &h->doorbell, EPOLLIN);
    look_at_doorbell(h);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
    struct helper *h = container_of(io, struct helper, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(io->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            helper_reload_asked(h);
        } else {
            helper_stop_by_signal(h);
        }
    }
}

static void on_step(struct loop_timer *timer)
{
    helper_step_stop(container_of(timer, struct helper, step));
}

static void on_startup_over(struct loop_timer *timer)
{
    (void)timer;
    memory_forget_startup();
}

static int watch_signals(struct helper *h)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &set, NULL) == -1) {
        return -1;
    }
    h->signals = (struct loop_io){signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), on_signal};
    return h->signals.fd == -1 ? -1 : loop_add(&h->loop, &h->signals, EPOLLIN);
}

static int watch_doorbell(struct helper *h, const struct serve_options *o)
{
    h->doorbell_gap.fire = on_doorbell_gap;
    h->step.fire = on_step;
    if (o->board_fd == -1) {
        return 0;
    }
    int fds[] = {o->board_fd, o->doorbell_fd, o->lifeline_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) == -1) {
            log_error("--board: descriptor %d: %s", fds[i], strerror(errno));
            return -1;
        }
    }
    if (board_open(&h->board, o->board_fd) == -1) {
        log_error("--board: %s", errno == EPROTONOSUPPORT ? "of a version that is not known here" : strerror(errno));
        return -1;
    }
    h->doorbell = (struct loop_io){o->doorbell_fd, on_doorbell};
    return loop_add(&h->loop, &h->doorbell, EPOLLIN);
}

static void publish_self(struct helper *h)
{
    if (helper_has_board(h)) {
        struct board_header *header = board_header(&h->board);
        header->helper_pid = getpid();
        header->helper_started_s = (uint64_t)h->in.started_s;
        board_text_set(&header->helper_error, h->in.error);
        helper_publish_consul(h);
    }
}

/* run_dir, lock, listeners, control.sock: what root can do for us before it goes. */
static int open_all(struct helper *h, const struct config *c, char *control, size_t room)
{
    char shown[128];
    h->lock_fd = run_dir_lock(c->run_dir, c->user);
    if (h->lock_fd == -1 && h->config_path) {
        return -1;
    }
    helper_open_listeners(h, c);
    if (h->lock_fd != -1) {
        snprintf(control, room, "unix:%s/control.sock", c->run_dir);
        if (server_listen(h->server, LISTENER_CONTROL, control, shown, sizeof shown) == -1) {
            log_error("%s: %s; the command line can't reach this helper", control, strerror(errno));
        } else {
            user_own_socket(control + 5, c->user);
            server_control_of(h->server, user_of_control(c->user));
        }
    }
    return 0;
}

static bool start(struct helper *h, const struct serve_options *o)
{
    struct config *c = o->config;
    char control[256];
    struct stat st;
    enum log_level level = LOG_LEVEL_NOTICE;
    log_level_parse(c->log_level, &level);
    log_open(c->log, level);
    if (loop_init(&h->loop) == -1 || watch_signals(h) == -1) {
        log_error("event loop: %s", strerror(errno));
        return false;
    }
    if (o->board_fd == -1) {
        notify_init(&h->loop);
    }
    h->in.config = c;
    h->in.board = &h->board;
    h->in.started_ms = h->loop.now_ms;
    h->in.started_s = time(NULL);
    h->in.consul_url = "off";
    h->config_inode = h->config_path && stat(h->config_path, &st) == 0 ? st.st_ino : 0;
    h->server = server_create(&h->loop, &h->answers, helper_control, h);
    h->sampler = sampler_create(&h->loop, &h->in, &h->board, helper_judge, h);
    if (!h->server || !h->sampler || watch_doorbell(h, o) == -1 || open_all(h, c, control, sizeof control) == -1) {
        return false;
    }
    if (config_wants_consul(c)) {
        client_read_token_early(&c->consul);
    }
    umask(027);
    user_drop(c);
    sandbox_enter();
    return true;
}

static void run(struct helper *h)
{
    struct config *c = h->in.config;
    h->in.config = NULL; /* taken over like any later one */
    if (!helper_take_config(h, c)) {
        return;
    }
    publish_self(h);
    log_notice("serving %zu pool%s of %s on %s", h->in.pool_count, h->in.pool_count == 1 ? "" : "s", c->instance,
        h->in.health_address[0] ? h->in.health_address : "control.sock alone");
    if (!helper_watch_master(h)) {
        h->in.master_gone = true;
        log_warning("FPM's master %d is gone", h->in.master_pid);
    }
    helper_follow_board(h);
    notify_ready();
    notify_status(&h->in);
    h->startup.fire = on_startup_over;
    loop_set(&h->loop, &h->startup, h->loop.now_ms + STARTUP_OVER_MS);
    while (!h->done) {
        if (loop_turn(&h->loop) == -1) {
            log_error("event loop: %s", strerror(errno));
            h->exit_code = EXIT_LEFT_TO_SUCCESSOR;
            break;
        }
    }
}

static void stop(struct helper *h)
{
    notify_fini();
    consul_destroy(h->retired);
    if (h->consul) {
        consul_destroy(h->consul);
    }
    if (h->sampler) {
        sampler_destroy(h->sampler);
    }
    if (h->server) {
        server_destroy(h->server);
    }
    answers_destroy(h->answers);
    helper_release_pools(h);
    config_destroy(h->in.config);
    board_close(&h->board);
    if (h->master.fd != -1) {
        close(h->master.fd);
    }
    if (h->lock_fd != -1) {
        close(h->lock_fd); /* last: the successor finds everything given up */
    }
    loop_fini(&h->loop);
}

int serve(const struct serve_options *o)
{
    static struct helper h; /* large, and there is one */
    h = (struct helper){
        .board_fd = o->board_fd, .lifeline_fd = o->lifeline_fd, .lock_fd = -1, .config_path = o->config_path};
    h.doorbell.fd = h.signals.fd = h.master.fd = -1;
    srandom((unsigned)getpid() ^ (unsigned)time(NULL));
    if (start(&h, o)) {
        run(&h);
    } else {
        h.exit_code = EXIT_LEFT_TO_SUCCESSOR;
    }
    stop(&h);
    int code = h.exit_code;
    h = (struct helper){0}; /* what stop() forgot can't be reached any more: a leak, for who looks for them */
    return code;
}
