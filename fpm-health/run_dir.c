/* The run directory; see run_dir.h. */
#define _GNU_SOURCE
#include "run_dir.h"

#include "bounds.h"
#include "log.h"
#include "user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static int make_path(const char *path)
{
    char part[PATH_MAX];
    if (strlen(path) >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(part, path);
    for (char *at = part + 1; *at; at++) {
        if (*at == '/') {
            *at = '\0';
            if (mkdir(part, 0755) == -1 && errno != EEXIST) {
                return -1;
            }
            *at = '/';
        }
    }
    return mkdir(part, 0755) == -1 && errno != EEXIST ? -1 : 0;
}

static int wait_for_lock(int fd, const char *path)
{
    for (int waited_ms = 0;; waited_ms += LOCK_TRY_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return 0;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            log_error("%s: %s", path, strerror(errno));
            return -1;
        }
        if (waited_ms >= LOCK_WAIT_MS) {
            log_error("%s: held by another helper for %d ms", path, LOCK_WAIT_MS);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_TRY_MS * 1000000L}, NULL);
    }
}

/* The run_dir itself and no link to another place; nor one that somebody else made for us, or that all may write to. */
static int open_directory(const char *run_dir, const char *user)
{
    struct stat st = {0};
    int fd = make_path(run_dir) == -1 ? -1 : open(run_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1) {
        log_error("%s can't be made or opened: %s", run_dir, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) == -1 || !user_may_own(user, st.st_uid) || (st.st_mode & S_IWOTH)) {
        log_error("%s is not used: it belongs to uid %d, mode %o", run_dir, (int)st.st_uid, st.st_mode & 07777u);
        close(fd);
        return -1;
    }
    user_own(fd, run_dir, user);
    return fd;
}

int run_dir_lock(const char *run_dir, const char *user)
{
    char path[PATH_MAX];
    int dir = open_directory(run_dir, user);
    if (dir == -1) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/lock", run_dir);
    int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    close(dir);
    if (fd == -1) {
        log_error("%s: %s", path, strerror(errno));
        return -1;
    }
    if (wait_for_lock(fd, path) == -1) {
        close(fd);
        return -1;
    }
    return fd;
}

const char *run_dir_root(char *room, size_t room_bytes)
{
    static const char usual[] = "/run/svcreg";
    const char *own = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 || access(usual, W_OK) == 0 || !own) {
        return usual;
    }
    snprintf(room, room_bytes, "%s/svcreg", own);
    return room;
}

static int control_path(const char *root, const char *instance, char *path, size_t room)
{
    struct stat st;
    int n = snprintf(path, room, "%s/%s/control.sock", root, instance);
    return n > 0 && (size_t)n < room && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) ? 0 : -1;
}

int run_dir_find(const char *root, const char *instance, char *path, size_t room)
{
    if (instance) {
        return control_path(root, instance, path, room) == 0 ? 0 : EX_UNAVAILABLE;
    }
    DIR *dir = opendir(root);
    char names[1024] = "", only[NAME_MAX + 1] = "";
    int found = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] != '.' && control_path(root, e->d_name, path, room) == 0) {
            found++;
            snprintf(only, sizeof only, "%s", e->d_name);
            size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, " %s", e->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (found > 1) {
        fprintf(stderr, "fpm-health: several instances below %s, choose one with --instance:%s\n", root, names);
        return EX_USAGE;
    }
    return found == 1 && control_path(root, only, path, room) == 0 ? 0 : EX_UNAVAILABLE;
}
