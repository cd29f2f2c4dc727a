#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "helper.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_RETRY_MS = 50,
    LAST_RETRY_MS = 5000,
    STEADY_MS = 10000, /* a helper that lived so long clears the count of failures */
    BOARD_FD = 3,      /* where the helper finds the three, see its --board */
    DOORBELL_FD = 4,
    LIFELINE_FD = 5,
    SAFE_FD = 16, /* out of the way of the above while they are moved */
    MAX_FDS_CLOSED = 65536
};

int helper_prepare(struct helper *h, const char *path, const char *config_path, bool keep_stderr, int signo)
{
    *h = (struct helper){
        .path = strdup(path),
        .config_path = strdup(config_path),
        .keep_stderr = keep_stderr,
        .lifeline_fd = -1,
        .signo = signo,
    };
    return h->path && h->config_path ? 0 : -1;
}

void helper_free(struct helper *h)
{
    free(h->path);
    free(h->config_path);
    if (h->lifeline_fd != -1) {
        close(h->lifeline_fd);
    }
    *h = (struct helper){.lifeline_fd = -1};
}

static void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0u, 0) == -1) { /* before Linux 5.9 */
        for (unsigned fd = first; fd < MAX_FDS_CLOSED; fd++) {
            close((int)fd);
        }
    }
}

/* FPM blocks and ignores signals around a reload; a helper must not inherit that. */
static void reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    for (int s = 1; s <= SIGRTMAX; s++) {
        sigaction(s, &dfl, NULL);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The last steps in the helper's process. Returns only when exec failed, with errno. */
static void become_helper(const struct helper *h, int board_fd, int doorbell_fd, int lifeline_fd)
{
    char *const no_environ[] = {NULL}, *const *environment = settings_environ();
    char *const argv[] = {"fpm-health", "serve", "--config", h->config_path, "--board", "3,4,5", NULL};

    setsid(); /* a terminal's Ctrl-C, and a kill of FPM's process group, are not for us */
    int from[] = {
        fcntl(board_fd, F_DUPFD, SAFE_FD), fcntl(doorbell_fd, F_DUPFD, SAFE_FD), fcntl(lifeline_fd, F_DUPFD, SAFE_FD)};
    int null_fd = open("/dev/null", O_RDWR);
    if (from[0] == -1 || from[1] == -1 || from[2] == -1 || null_fd == -1 || chdir("/") == -1) {
        return;
    }
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    if (!h->keep_stderr) {
        dup2(null_fd, STDERR_FILENO);
    }
    dup2(from[0], BOARD_FD);
    dup2(from[1], DOORBELL_FD);
    dup2(from[2], LIFELINE_FD);
    close_from(LIFELINE_FD + 1);
    umask(027);
    reset_signals();
    execve(h->path, argv, environment ? environment : no_environ);
}

/*
 * Twice vfork: the grandchild becomes the helper and belongs to init, the child is gone before anybody can ask about
 * it. vfork and not fork, since it runs no atfork handler, copies no page tables, and brings exec's errno back through
 * the shared memory. All signals are blocked by the caller, so no handler runs on the borrowed stack.
 */
static int spawn_detached(const struct helper *h, int board_fd, int doorbell_fd, int lifeline_fd)
{
    volatile int error = 0;
    pid_t child = vfork();
    if (child == 0) {
        pid_t grandchild = vfork();
        if (grandchild == 0) {
            become_helper(h, board_fd, doorbell_fd, lifeline_fd);
            error = errno;
            _exit(127);
        }
        if (grandchild == -1) {
            error = errno;
        }
        _exit(0);
    }
    if (child == -1) {
        return errno;
    }
    while (waitpid(child, NULL, 0) == -1 && errno == EINTR) {
    }
    return error;
}

static void signal_on_end(const struct helper *h)
{
    struct f_owner_ex owner = {.type = F_OWNER_PID, .pid = getpid()};
    fcntl(h->lifeline_fd, F_SETOWN_EX, &owner);
    fcntl(h->lifeline_fd, F_SETSIG, h->signo);
    fcntl(h->lifeline_fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

static void plan_retry(struct helper *h, uint64_t now_ms)
{
    if (h->started_ms && now_ms - h->started_ms >= STEADY_MS) {
        h->failures = 0;
    }
    uint64_t wait = LAST_RETRY_MS;
    if (h->failures < 7) { /* 50 ms << 7 is past the longest wait */
        wait = FIRST_RETRY_MS << h->failures;
    }
    h->failures++;
    h->retry_ms = now_ms + (wait < LAST_RETRY_MS ? wait : LAST_RETRY_MS);
}

int helper_start(struct helper *h, int board_fd, int doorbell_fd, uint64_t now_ms)
{
    int ends[2];
    sigset_t all, before;
    sigfillset(&all);

    h->retry_ms = 0;
    h->started_ms = now_ms;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
        h->error = errno;
        plan_retry(h, now_ms);
        return -1;
    }
    sigprocmask(SIG_BLOCK, &all, &before);
    h->error = spawn_detached(h, board_fd, doorbell_fd, ends[1]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (h->error) {
        close(ends[0]);
        plan_retry(h, now_ms);
        errno = h->error;
        return -1;
    }
    h->lifeline_fd = ends[0];
    signal_on_end(h);
    return 0;
}

void helper_adopt(struct helper *h, int lifeline_fd)
{
    h->lifeline_fd = lifeline_fd;
    if (lifeline_fd != -1) {
        signal_on_end(h);
    }
}

bool helper_alive(struct helper *h, uint64_t now_ms)
{
    if (h->lifeline_fd == -1) {
        return false;
    }
    struct pollfd p = {.fd = h->lifeline_fd};
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL))) {
        close(h->lifeline_fd);
        h->lifeline_fd = -1;
        plan_retry(h, now_ms);
        return false;
    }
    return true;
}
