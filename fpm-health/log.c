/* Logging; see log.h. */
#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

static struct {
    enum log_level level;
    bool syslog;
    int fd;
    char path[PATH_MAX]; /* empty: stderr */
} log_to = {.level = LOG_LEVEL_NOTICE, .fd = STDERR_FILENO};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0640);
}

bool log_level_parse(const char *word, enum log_level *level)
{
    static const char *const words[] = {"debug", "notice", "warning", "error"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(word, words[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_open(const char *to, enum log_level level)
{
    log_to.level = level;
    if (strcmp(to, log_to.path) == 0) {
        return;
    }
    if (log_to.path[0]) {
        close(log_to.fd);
    }
    log_to.path[0] = '\0';
    log_to.fd = STDERR_FILENO;
    log_to.syslog = strcmp(to, "syslog") == 0;
    if (log_to.syslog) {
        openlog("fpm-health", LOG_PID, LOG_DAEMON);
    } else if (strcmp(to, "stderr") != 0 && strlen(to) < sizeof log_to.path) {
        int fd = open_file(to);
        if (fd == -1) {
            log_warning("log %s can't be opened, stderr is used: %s", to, strerror(errno));
            return;
        }
        log_to.fd = fd;
        strcpy(log_to.path, to);
    }
}

/* A rotated log is noticed by its inode: no signal from anybody is needed. Where we may not open the new one, the old one goes on. */
static void follow_rotation(void)
{
    struct stat ours, named;
    if (fstat(log_to.fd, &ours) == 0 && stat(log_to.path, &named) == 0 && ours.st_ino == named.st_ino &&
        ours.st_dev == named.st_dev) {
        return;
    }
    int fd = open_file(log_to.path);
    if (fd != -1) {
        close(log_to.fd);
        log_to.fd = fd;
    }
}

__attribute__((format(printf, 2, 0))) static void write_line(
    enum log_level level, const char *format, va_list arguments)
{
    static const char *const names[] = {"DEBUG", "NOTICE", "WARNING", "ERROR"};
    static const int priorities[] = {LOG_DEBUG, LOG_NOTICE, LOG_WARNING, LOG_ERR};
    if (level < log_to.level) {
        return;
    }
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 80], when[32];
    vsnprintf(text, sizeof text, format, arguments);
    if (log_to.syslog) {
        syslog(priorities[level], "svcreg: %s", text);
        return;
    }
    struct tm local;
    time_t now = time(NULL);
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%d-%b-%Y %H:%M:%S", &local); /* FPM's own: both write into the same terminal */
    int n = snprintf(line, sizeof line, "[%s] %s: svcreg: %s\n", when, names[level], text);
    if (log_to.path[0]) {
        follow_rotation();
    }
    if (write(log_to.fd, line, (size_t)n) == -1) {
        /* nobody is left to tell */
    }
}

#define DEFINE_LOG(name, level) \
    void name(const char *format, ...) \
    { \
        va_list arguments; \
        va_start(arguments, format); \
        write_line(level, format, arguments); \
        va_end(arguments); \
    }

DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
DEFINE_LOG(log_notice, LOG_LEVEL_NOTICE)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
