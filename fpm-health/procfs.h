/* What /proc says of FPM's master and its workers. */
#ifndef FPM_HEALTH_PROCFS_H
#define FPM_HEALTH_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Start time in clock ticks, field 22 of /proc/PID/stat: with the pid it names one process. 0: there is none. */
uint64_t procfs_start_time(pid_t pid);

/* The Unix time, in seconds, of such a start time; 0 for 0. */
int64_t procfs_unix_time(uint64_t start_time);

/*
 * Opens the list of a process's children. It stays that process's: when its pid is another's, the list is empty. Returns an
 * fd, or -1 with errno.
 */
int procfs_open_children(pid_t pid);

/* The children as they are now, at most `room`. Returns how many, or -1 with errno. */
ssize_t procfs_children(int fd, pid_t *out, size_t room);

/* The pool in a worker's title "php-fpm: pool NAME". Returns false for anything else. */
bool procfs_pool(pid_t pid, char *out, size_t room);

/* Whether two processes run the same command, by their names in /proc/PID/comm, which no title changes. */
bool procfs_same_command(pid_t pid, pid_t other);

struct worker_state {
    char state; /* of /proc/PID/stat: R, S, D, T, … ; 0: gone */
    uint64_t user_ticks;
    uint64_t slept; /* voluntary context switches */
};

struct worker_state procfs_worker(pid_t pid);

#endif
