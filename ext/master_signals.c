#include "php_svcreg.h"
#include "master_signals.h"
#include "master_state.h"
#include "say.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum {
    CLAIM_TICK_MS = 5,       /* how often to look whether FPM has its signal handlers in place */
    DRAIN_TICK_MS = 10,      /* how often to look whether the drain is done */
    UNATTENDED_MS = 300,     /* the drain without a helper: the workers' answers alone say that it goes on */
    SPREAD_MS = 1500,        /* from a TTL that ran out until every load balancer has heard of it, at most */
    TICK_SIGNAL_FROM_MAX = 3 /* SIGRTMAX less this: PHP's own timers use SIGRTMIN */
};

uint64_t master_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_timer(uint64_t in_ms)
{
    if (master.timer_made) {
        struct itimerspec t = {
            .it_value = {.tv_sec = (time_t)(in_ms / 1000), .tv_nsec = (long)(in_ms % 1000) * 1000000}};
        timer_settime(master.timer, 0, &t, NULL);
    }
}

static void make_timer(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = master.tick_signal};
    master.timer_made = timer_create(CLOCK_MONOTONIC, &e, &master.timer) == 0;
}

/* ---- stop signals ---- */

static void pass_to_fpm(int signo)
{
    master.stop = STOP_PASSED;
    master.fpm_handler(signo);
}

static void hold_stop(uint64_t now, uint64_t deadline_ms)
{
    struct board_header *h = board_header(&master.board);
    master.stop = STOP_HELD;
    master.looks = h->looks;
    master.looked_ms = now;
    master.stop_deadline_ms = deadline_ms;
    if (atomic_load(&h->stop) != BOARD_GO) { /* else the drain was over when the reload was */
        atomic_store(&h->stop, BOARD_DRAIN);
    }
    board_ring(master.doorbell_fd);
}

static void on_stop_signal(int signo)
{
    if (getpid() != master.pid || master.stop != STOP_NONE) { /* a second one goes straight through */
        pass_to_fpm(signo);
        return;
    }
    uint64_t now = master_now_ms();
    struct board_header *h = board_header(&master.board);
    bool attended = helper_alive(&master.helper, now) && h->acked_generation == h->generation;
    if (!master.timer_made) {
        pass_to_fpm(SIGQUIT); /* nothing would end the wait */
        return;
    }
    bool patient = attended || master.drain_timeout_ms < UNATTENDED_MS;
    hold_stop(now, now + (patient ? master.drain_timeout_ms : UNATTENDED_MS));
    set_timer(DRAIN_TICK_MS);
}

static void on_reload_signal(int signo)
{
    if (getpid() == master.pid && master.stop == STOP_HELD) {
        return; /* a reload would undo the stop that was asked for */
    }
    master.fpm_handler(signo);
}

static bool is_fpm_handler(int signo, void (*expected)(int), struct sigaction *out)
{
    return sigaction(signo, NULL, out) == 0 && !(out->sa_flags & SA_SIGINFO) && out->sa_handler != SIG_DFL &&
        out->sa_handler != SIG_IGN && (!expected || out->sa_handler == expected);
}

/* Wraps FPM's handlers once they are there. FPM has one handler for all its signals, which is how they are known. */
static void try_claim(void)
{
    struct sigaction quit, other;
    if (!is_fpm_handler(SIGQUIT, NULL, &quit) || !is_fpm_handler(SIGTERM, quit.sa_handler, &other) ||
        !is_fpm_handler(SIGUSR2, quit.sa_handler, &other) || !is_fpm_handler(SIGCHLD, quit.sa_handler, &other)) {
        return;
    }
    master.fpm_handler = quit.sa_handler;
    master.claimed = true;

    struct board_header *h = board_header(&master.board);
    atomic_store(&h->master_start, identity_start_time());
    atomic_store(&h->master_pid, master.pid);
    atomic_store(&h->handover, 0);
    if (master.helper.lifeline_fd != -1) {
        helper_adopt(
            &master.helper, master.helper.lifeline_fd); /* its end must signal this process, not the launcher */
    }
    quit.sa_handler = on_stop_signal;
    sigaction(SIGQUIT, &quit, NULL);
    sigaction(SIGTERM, &quit, NULL);
    quit.sa_handler = on_reload_signal;
    sigaction(SIGUSR2, &quit, NULL);
    board_ring(master.doorbell_fd);
}

static void restore_fpm_handlers(void)
{
    struct sigaction a = {.sa_handler = master.fpm_handler};
    if (master.claimed) {
        sigfillset(&a.sa_mask);
        sigaction(SIGQUIT, &a, NULL);
        sigaction(SIGTERM, &a, NULL);
        sigaction(SIGUSR2, &a, NULL);
    }
}

/* ---- the tick ---- */

static void keep_helper(uint64_t now)
{
    if (helper_alive(&master.helper, now) || now < master.helper.retry_ms) {
        return;
    }
    uint32_t failures = master.helper.failures;
    int before = master.helper.error;
    if (helper_start(&master.helper, master.board_fd, master.doorbell_fd, now) == -1 && master.helper.error != before) {
        say_warning(
            "fpm-health cannot be started, FPM serves without; next try within 5 s: %s", strerror(master.helper.error));
    } else if (failures == 3) {
        say_warning("fpm-health has died three times in a row; it is started again at most every 5 s");
    }
}

/* Nothing comes of a wait for a helper that is frozen: Consul takes a node out whose TTL has run out. */
static bool helper_frozen(uint64_t now)
{
    uint32_t looks = board_header(&master.board)->looks;
    if (looks != master.looks) {
        master.looks = looks;
        master.looked_ms = now;
    }
    return now >= master.looked_ms + master.ttl_ms + SPREAD_MS;
}

static void watch_stop(uint64_t now)
{
    if (master.stop != STOP_HELD || !master.claimed) {
        return;
    }
    bool quiet = atomic_load(&board_header(&master.board)->stop) == BOARD_GO;
    if (quiet || now >= master.stop_deadline_ms || helper_frozen(now)) {
        pass_to_fpm(SIGQUIT); /* also for SIGTERM: QUIT lets running requests end */
    }
}

/* Does what is due and arms the timer for what comes next; disarmed when nothing is awaited. */
static void tick(void)
{
    uint64_t now = master_now_ms();
    if (!master.claimed) {
        try_claim();
    }
    keep_helper(now);
    helper_alive(&master.helper, now); /* one that ended before its lifeline could signal */
    watch_stop(now);

    uint64_t next = UINT64_MAX;
    if (master.helper.lifeline_fd == -1 && master.helper.retry_ms) {
        next = master.helper.retry_ms > now ? master.helper.retry_ms - now : 1;
    }
    if (!master.claimed && next > CLAIM_TICK_MS) {
        next = CLAIM_TICK_MS;
    }
    if (master.stop == STOP_HELD && next > DRAIN_TICK_MS) {
        next = DRAIN_TICK_MS;
    }
    if (next != UINT64_MAX) {
        set_timer(next);
    }
}

static void on_tick(int signo)
{
    int saved = errno;
    if (getpid() == master.pid) {
        tick();
    }
    errno = saved;
}

/*
 * A launcher gets no tick: it waits in a select() that FPM takes for failed when a signal interrupts it (exit 70), and
 * the master that it forks has a timer of its own.
 */
static void block_tick(int how)
{
    sigset_t tick_only;
    sigemptyset(&tick_only);
    sigaddset(&tick_only, master.tick_signal);
    sigprocmask(how, &tick_only, NULL);
}

static void set_tick_handler(void (*handler)(int))
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigfillset(&a.sa_mask);
    sigaction(master.tick_signal, &a, NULL);
}

/* ---- forks ---- */

static void before_fork(void)
{
    if (getpid() == master.pid && !master.claimed) {
        tick();
        /* said before the fork, if it is a launcher's: the master may be there, and claim, before the launcher ends */
        atomic_store(&board_header(&master.board)->handover, !master.claimed);
    }
}

static void after_fork_in_parent(void)
{
    if (getpid() == master.pid && !master.claimed) {
        master.forked = true;
    }
}

/* FPM blocks SIGTERM around the fork of a worker, and around no other fork. */
static void after_fork_in_child(void)
{
    sigset_t blocked;
    if (master.pid == 0 || svcreg_worker.forked) {
        worker_disown();
        return;
    }
    master.timer_made = false; /* timers are not inherited */
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    if (sigismember(&blocked, SIGTERM)) {
        set_tick_handler(SIG_DFL);
        close(master.board_fd);
        if (master.helper.lifeline_fd != -1) {
            close(master.helper.lifeline_fd);
        }
        master.board_fd = master.helper.lifeline_fd = -1;
        worker_begin(&master.board, &master.config, master.doorbell_fd);
        return;
    }
    master.pid = getpid(); /* the daemonized master, or a child that ends soon (opcache.preload_user) */
    master.claimed = master.forked = false;
    block_tick(SIG_UNBLOCK);
    make_timer();
    set_timer(CLAIM_TICK_MS);
}

int signals_tick_number(void)
{
    return SIGRTMAX - TICK_SIGNAL_FROM_MAX;
}

void signals_start(bool daemonize)
{
    set_tick_handler(on_tick);
    block_tick(daemonize ? SIG_BLOCK : SIG_UNBLOCK);
    helper_adopt(&master.helper, master.helper.lifeline_fd);
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    make_timer();
    if (master.stop == STOP_HELD) { /* since before the reload's exec, in this process's former life */
        hold_stop(master_now_ms(), master.timer_made ? master.stop_deadline_ms : 0);
    }
    tick();
}

void signals_stop(void)
{
    if (master.timer_made) {
        timer_delete(master.timer);
        master.timer_made = false;
    }
    set_tick_handler(SIG_IGN);
    restore_fpm_handlers();
}
