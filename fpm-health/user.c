/* Dropping rights; see user.h. */
#define _GNU_SOURCE
#include "user.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GROUPS_MOST = 1024 };

static const struct passwd *find(const char *user)
{
    return user[0] && geteuid() == 0 ? getpwnam(user) : NULL;
}

void user_own(int fd, const char *name, const char *user)
{
    const struct passwd *entry = find(user);
    if (entry && fchownat(fd, "", entry->pw_uid, entry->pw_gid, AT_EMPTY_PATH) == -1) {
        log_warning("%s can't be given to %s: %s", name, user, strerror(errno));
    }
}

void user_own_socket(const char *path, const char *user)
{
    struct stat st;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1) {
        log_warning("%s can't be given to %s: %s", path, user, strerror(errno));
        return;
    }
    /* its directory is the user's: what we made may be another's socket by now */
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1) {
        user_own(fd, path, user);
    }
    close(fd);
}

uid_t user_of_control(const char *user)
{
    const struct passwd *entry = find(user);
    bool shared = entry && strcmp(user, "nobody") == 0;
    return shared ? 0 : entry ? entry->pw_uid : geteuid();
}

bool user_may_own(const char *user, uid_t owner)
{
    const struct passwd *entry = find(user);
    return owner == 0 || owner == geteuid() || (entry && owner == entry->pw_uid);
}

/* A name or a number, as FPM takes it. Returns 0 for none, and for root's. */
static gid_t find_group(const char *text)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text && *end == '\0') {
        return (gid_t)number;
    }
    const struct group *entry = *text ? getgrnam(text) : NULL;
    return entry ? entry->gr_gid : 0;
}

static int take_groups(const char *user, gid_t own, const struct config *c)
{
    gid_t groups[GROUPS_MOST];
    int count = GROUPS_MOST;
    if (getgrouplist(user, own, groups, &count) == -1) {
        return -1;
    }
    for (size_t i = 0; i < c->pool_count && count < GROUPS_MOST; i++) {
        gid_t group = find_group(c->pools[i].listen_group);
        bool known = group == 0;
        for (int g = 0; g < count; g++) {
            known |= groups[g] == group;
        }
        if (!known) {
            groups[count++] = group;
        }
    }
    return setgroups((size_t)count, groups);
}

void user_drop(const struct config *config)
{
    const char *user = config->user;
    const struct passwd *entry = find(user);
    if (entry) {
        for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
            /* until the last that this kernel has */
        }
        if (take_groups(user, entry->pw_gid, config) == -1 || setgid(entry->pw_gid) == -1 ||
            setuid(entry->pw_uid) == -1) {
            log_warning("can't become %s, serving on as uid %d: %s", user, (int)geteuid(), strerror(errno));
        }
    } else if (user[0] && geteuid() == 0) {
        log_warning("user %s does not exist, serving on as root", user);
    }
}
