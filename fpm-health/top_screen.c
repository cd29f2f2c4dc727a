/* See top_screen.h. A signal's handler only takes note; what follows from it happens where nothing is half drawn. */
#define _GNU_SOURCE
#include "top_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct termios before;
    bool keys; /* `before` is to be put back */
    sigset_t signals, old_mask;
    volatile sig_atomic_t ending, suspending, resized;
} screen;

static void on_signal(int number)
{
    if (number == SIGWINCH || number == SIGCONT) {
        screen.resized = 1;
    } else if (number == SIGTSTP) {
        screen.suspending = 1;
    } else {
        screen.ending = number;
    }
}

/* The other screen, no cursor; the way back in reverse. */
static void enter(void)
{
    if (screen.keys) {
        struct termios raw = screen.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    fputs("\033[?1049h\033[?25l\033[2J", stdout);
    fflush(stdout);
}

static void leave(void)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (screen.keys) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
    }
}

bool top_screen_open(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGPIPE};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    screen.keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.before) == 0;
    sigemptyset(&screen.signals);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaddset(&screen.signals, signals[i]);
        if (sigaction(signals[i], &action, NULL) == -1) {
            return false;
        }
    }
    enter();
    return true;
}

void top_screen_close(void)
{
    leave();
    if (screen.ending) {
        signal(screen.ending, SIG_DFL);
        raise(screen.ending);
    }
}

void top_screen_size(int *columns, int *rows)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

static enum top_event event_of(const char *key)
{
    static const struct {
        const char *bytes;
        enum top_event event;
    } keys[] = {
        {"q", TOP_QUIT},
        {"Q", TOP_QUIT},
        {"k", TOP_UP},
        {"\033[A", TOP_UP},
        {"\033OA", TOP_UP},
        {"j", TOP_DOWN},
        {"\033[B", TOP_DOWN},
        {"\033OB", TOP_DOWN},
        {"b", TOP_PAGE_UP},
        {"\033[5~", TOP_PAGE_UP},
        {" ", TOP_PAGE_DOWN},
        {"\033[6~", TOP_PAGE_DOWN},
        {"g", TOP_HOME},
        {"\033[H", TOP_HOME},
        {"\033OH", TOP_HOME},
        {"\033[1~", TOP_HOME},
        {"G", TOP_END},
        {"\033[F", TOP_END},
        {"\033OF", TOP_END},
        {"\033[4~", TOP_END},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i].bytes) == 0) {
            return keys[i].event;
        }
    }
    return TOP_NOTHING;
}

/* One key press arrives in one piece; of a pile of them the first counts. */
static enum top_event read_key(void)
{
    char key[8];
    ssize_t n = read(STDIN_FILENO, key, sizeof key - 1);
    if (n <= 0) { /* the terminal is gone */
        screen.keys = false;
        return TOP_QUIT;
    }
    key[n > 0 && key[0] != '\033' ? 1 : n] = '\0';
    return event_of(key);
}

static void suspend(void)
{
    screen.suspending = 0;
    leave();
    raise(SIGSTOP);
    enter();
}

static enum top_event noted(void)
{
    if (screen.ending) {
        return TOP_QUIT;
    }
    if (screen.suspending) {
        suspend();
        return TOP_RESIZED;
    }
    if (screen.resized) {
        screen.resized = 0;
        return TOP_RESIZED;
    }
    return TOP_NOTHING;
}

enum top_event top_screen_wait(long wait_ms)
{
    struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000L};
    struct pollfd keys = {screen.keys ? STDIN_FILENO : -1, POLLIN, 0};
    sigprocmask(SIG_BLOCK, &screen.signals, &screen.old_mask); /* none between the look at the notes and the wait */
    enum top_event event = noted();
    int ready = event == TOP_NOTHING ? ppoll(&keys, 1, &wait, &screen.old_mask) : 0;
    sigprocmask(SIG_SETMASK, &screen.old_mask, NULL);
    event = event == TOP_NOTHING ? noted() : event;
    return event == TOP_NOTHING && ready > 0 ? read_key() : event;
}
