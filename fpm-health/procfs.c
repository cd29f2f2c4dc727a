/* /proc; see procfs.h. */
#define _GNU_SOURCE
#include "procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int open_file(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads from the beginning. Returns the length (cut to room - 1, ended by NUL), or -1 with errno. */
static ssize_t read_whole(int fd, char *out, size_t room)
{
    size_t length = 0;
    ssize_t n = 1;
    while (n > 0 && length + 1 < room) {
        n = pread(fd, out + length, room - 1 - length, (off_t)length);
        length += n > 0 ? (size_t)n : 0;
    }
    out[length] = '\0';
    return n == -1 && length == 0 ? -1 : (ssize_t)length;
}

/* The same with a file of /proc/PID. */
static ssize_t read_file(pid_t pid, const char *name, char *out, size_t room)
{
    int fd = open_file(pid, name);
    if (fd == -1) {
        return -1;
    }
    ssize_t length = read_whole(fd, out, room);
    close(fd);
    return length;
}

/* Field `number` (from 3) of /proc/PID/stat: the second one may hold anything, spaces and brackets too. */
static const char *stat_field(const char *stat, int number)
{
    const char *at = strrchr(stat, ')');
    for (int i = 3; at && i <= number; i++) {
        at = strchr(at + 1, ' ');
    }
    return at ? at + 1 : "";
}

uint64_t procfs_start_time(pid_t pid)
{
    char stat[1024];
    return read_file(pid, "stat", stat, sizeof stat) > 0 ? strtoull(stat_field(stat, 22), NULL, 10) : 0;
}

int64_t procfs_unix_time(uint64_t start_time)
{
    struct timespec up;
    long ticks_per_s = sysconf(_SC_CLK_TCK);
    if (!start_time || ticks_per_s <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) == -1) {
        return 0;
    }
    return time(NULL) - up.tv_sec + (int64_t)(start_time / (uint64_t)ticks_per_s);
}

int procfs_open_children(pid_t pid)
{
    char name[48];
    snprintf(name, sizeof name, "task/%d/children", pid);
    return open_file(pid, name);
}

ssize_t procfs_children(int fd, pid_t *out, size_t room)
{
    static char text[1 << 19];
    if (read_whole(fd, text, sizeof text) == -1) {
        return -1;
    }
    size_t n = 0;
    for (char *at = text, *end; n < room; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at) {
            break;
        }
        out[n++] = (pid_t)child;
    }
    return (ssize_t)n;
}

bool procfs_pool(pid_t pid, char *out, size_t room)
{
    static const char prefix[] = "php-fpm: pool ";
    char title[512];
    ssize_t n = read_file(pid, "cmdline", title, sizeof title);
    if (n < (ssize_t)sizeof prefix || strncmp(title, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    snprintf(out, room, "%s", title + sizeof prefix - 1);
    out[strcspn(out, " ")] = '\0';
    return out[0] != '\0';
}

bool procfs_same_command(pid_t pid, pid_t other)
{
    char one[32], two[32];
    return read_file(pid, "comm", one, sizeof one) > 0 && read_file(other, "comm", two, sizeof two) > 0 &&
        strcmp(one, two) == 0;
}

struct worker_state procfs_worker(pid_t pid)
{
    char text[4096];
    struct worker_state w = {0};
    if (read_file(pid, "stat", text, sizeof text) <= 0) {
        return w;
    }
    w.state = *stat_field(text, 3);
    w.user_ticks = strtoull(stat_field(text, 14), NULL, 10);
    const char *slept =
        read_file(pid, "status", text, sizeof text) > 0 ? strstr(text, "\nvoluntary_ctxt_switches:") : NULL;
    w.slept = slept ? strtoull(slept + strlen("\nvoluntary_ctxt_switches:"), NULL, 10) : 0;
    return w;
}
