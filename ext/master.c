#include "php_svcreg.h"
#include "master.h"
#include "helper_config.h"
#include "master_signals.h"
#include "master_state.h"
#include "say.h"
#include "settings.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LEAVE_TIMEOUT_MS = 2000 }; /* the longest that MSHUTDOWN waits for the deregistration */

/* Over a reload, "FD:INODE,FD:INODE,FD,MS": board, doorbell, lifeline, and the deadline of a stop that is held, else 0. */
static const char BOARD_ENV[] = "SVCREG_BOARD";

struct master master = {.board_fd = -1, .doorbell_fd = -1, .helper = {.lifeline_fd = -1}};

static void set_cloexec(int fd, bool on)
{
    if (fd != -1) {
        fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
    }
}

static ino_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/*
 * After a reload: the fds that this process had before its exec, and the stop that came in the midst of it. Checked, since
 * an environment can hold anything; an older version says nothing of a stop.
 */
static void adopt_board(void)
{
    const char *text = getenv(BOARD_ENV);
    int board_fd, doorbell_fd, lifeline_fd;
    unsigned long long board_ino, doorbell_ino, stop_deadline_ms = 0;
    bool good = text &&
        sscanf(text, "%d:%llu,%d:%llu,%d,%llu", &board_fd, &board_ino, &doorbell_fd, &doorbell_ino, &lifeline_fd,
            &stop_deadline_ms) >= 5 &&
        board_fd > 2 && doorbell_fd > 2 && inode_of(board_fd) == (ino_t)board_ino &&
        inode_of(doorbell_fd) == (ino_t)doorbell_ino && board_is_sealed(board_fd);
    unsetenv(BOARD_ENV);
    if (!good) {
        return;
    }
    set_cloexec(board_fd, true);
    set_cloexec(doorbell_fd, true);
    set_cloexec(lifeline_fd, true);
    /* Another version's, or spoilt, it is laid out anew all the same: the helper that lives looks at this one. */
    master.board_fd = board_fd;
    master.doorbell_fd = doorbell_fd;
    master.helper.lifeline_fd = lifeline_fd;
    master.stop = stop_deadline_ms ? STOP_HELD : STOP_NONE;
    master.stop_deadline_ms = stop_deadline_ms;
}

static bool make_board(void)
{
    struct board_spec *specs = calloc(master.config.count, sizeof *specs);
    for (size_t i = 0; specs && i < master.config.count; i++) {
        specs[i] =
            (struct board_spec){.name = master.config.pools[i].name, .slots = master.config.pools[i].max_children};
    }
    if (master.board_fd == -1) {
        master.board_fd = board_create();
        master.doorbell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    bool good = specs && master.board_fd != -1 && master.doorbell_fd != -1 &&
        board_layout(&master.board, master.board_fd, specs, master.config.count) == 0;
    free(specs);
    if (good && master.stop == STOP_NONE) {
        atomic_store(&board_header(&master.board)->stop, BOARD_RUN);
    }
    return good;
}

static bool write_config(char **config_path, int daemonize)
{
    char what[PATH_MAX + 32], *directory = NULL;
    struct board_header *h = board_header(&master.board);
    if (asprintf(&directory, "%s/%s", SVCREG_G(run_dir), master.identity.instance) == -1 ||
        asprintf(config_path, "%s/config.json", directory) == -1) {
        return false;
    }
    struct helper_config hc = {
        .fpm = &master.config,
        .instance = master.identity.instance,
        .node = master.identity.node,
        .consul_url = master.identity.consul_url,
        .directory = directory,
        .generation = board_next_generation(&master.board),
        .master_pid = master.pid,
        .master_start = identity_start_time(),
        .daemonize = daemonize,
    };
    bool good = helper_config_write(&hc, what, sizeof what) == 0;
    if (!good) {
        say_warning("cannot %s: %s; FPM serves without svcreg", what, strerror(errno));
    } else {
        atomic_store(&h->master_start, hc.master_start);
        atomic_store(&h->master_pid, hc.master_pid);
        atomic_store(&h->generation, hc.generation);
        board_ring(master.doorbell_fd);
    }
    free(directory);
    return good;
}

/* systemd names itself to the process that it starts alone, and the drop-in tells that it is there. */
static void warn_about_stops(void)
{
    const char *started = settings_env("SYSTEMD_EXEC_PID");
    if (started && strtol(started, NULL, 10) == getpid() && !settings_env("SVCREG_KILL_MODE")) {
        say_warning(
            "this unit lacks svcreg's drop-in (docs/systemd, KillMode=mixed): a stop by systemd kills the workers "
            "in the middle of their requests");
    }
}

static void warn_about_reloads(void)
{
    if (master.config.process_control_timeout_s == 0) {
        say_notice("process_control_timeout is 0: a reload (SIGUSR2) kills the requests that run; set it to the "
                   "longest request");
    }
}

/* Everything but the pid is undone; what was open is closed, so that a helper that waits for us sees the end. */
static void abandon(void)
{
    if (master.board.map) {
        atomic_store(&board_header(&master.board)->stop, BOARD_LEAVING);
        board_ring(master.doorbell_fd);
    }
    board_close(&master.board);
    helper_free(&master.helper);
    close(master.board_fd);
    close(master.doorbell_fd);
    fpm_config_free(&master.config);
    identity_free(&master.identity);
    master.board_fd = master.doorbell_fd = -1;
    master.pid = 0;
}

void master_start(const struct fpm_args *args)
{
    char *path = fpm_args_config_path(args), *config_path = NULL;
    master.pid = getpid();
    master.tick_signal = signals_tick_number();
    adopt_board();

    bool good = path && fpm_config_read(&master.config, path, args->prefix) == 0;
    if (!good) {
        say_notice("does nothing: %s", path ? master.config.error : "no memory");
    }
    int daemonize = args->daemonize >= 0 ? args->daemonize : master.config.daemonize;
    good = good && identity_make(&master.identity, path);
    if (good && !(good = make_board())) {
        say_warning("cannot make the board: %s; FPM serves without svcreg", strerror(errno));
    }
    int lifeline_fd = master.helper.lifeline_fd;
    good = good && write_config(&config_path, daemonize) &&
        helper_prepare(&master.helper, SVCREG_G(helper), config_path, !daemonize, master.tick_signal) == 0;
    master.helper.lifeline_fd = lifeline_fd;
    free(config_path);
    free(path);
    if (!good) {
        abandon();
        return;
    }
    master.drain_timeout_ms = (uint64_t)SVCREG_G(drain_timeout_ms);
    master.ttl_ms = (uint64_t)SVCREG_G(ttl_ms);
    signals_start(daemonize);
    warn_about_reloads();
    warn_about_stops();
}

/* ---- stop ---- */

/* Waits until the helper has deregistered; false when it did not within the time. */
static bool await_gone(struct board_header *h)
{
    uint64_t deadline = master_now_ms() + LEAVE_TIMEOUT_MS;
    for (;;) {
        uint64_t now = master_now_ms();
        uint32_t seen = atomic_load(&h->stop);
        if (seen == BOARD_GONE) {
            return true;
        }
        if (now >= deadline || !helper_alive(&master.helper, now)) {
            return false;
        }
        /* short naps: a helper that dies, or a hostile writer, does not wake a futex */
        struct timespec nap = {.tv_nsec = 50000000};
        syscall(SYS_futex, &h->stop, FUTEX_WAIT, seen, &nap, NULL, 0);
    }
}

static void leave(void)
{
    struct board_header *h = board_header(&master.board);
    if (!master.claimed && master.forked) { /* a launcher: the master that it forked goes on */
        return;
    }
    atomic_store(&h->stop, BOARD_LEAVING);
    board_ring(master.doorbell_fd);
    await_gone(h);
}

/* Before FPM's exec: the fds stay open and are named to the next MINIT. Nothing may signal while no handler is there. */
static void hand_on(void)
{
    char text[128];
    if (master.helper.lifeline_fd != -1) {
        fcntl(master.helper.lifeline_fd, F_SETFL, O_NONBLOCK);
    }
    set_cloexec(master.board_fd, false);
    set_cloexec(master.doorbell_fd, false);
    set_cloexec(master.helper.lifeline_fd, false);
    snprintf(text, sizeof text, "%d:%llu,%d:%llu,%d,%llu", master.board_fd,
        (unsigned long long)inode_of(master.board_fd), master.doorbell_fd,
        (unsigned long long)inode_of(master.doorbell_fd), master.helper.lifeline_fd,
        master.stop == STOP_HELD ? (unsigned long long)master.stop_deadline_ms : 0);
    setenv(BOARD_ENV, text, 1);
}

void master_stop(void)
{
    if (master.pid == 0 || master.pid != getpid() || svcreg_worker.forked) {
        return;
    }
    bool reloads = master.claimed && settings_environ() && getenv("FPM_SOCKETS");
    signals_stop();
    if (reloads) {
        hand_on();
    } else {
        leave();
    }
}

const struct fpm_config *master_config(void)
{
    return master.pid ? &master.config : NULL;
}

const struct board *master_board(void)
{
    return master.pid ? &master.board : NULL;
}

const struct master_identity *master_identity(void)
{
    return &master.identity;
}
