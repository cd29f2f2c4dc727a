/* Workers; see workers.h. */
#include "workers.h"

#include "bounds.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TITLE_LOOKS = 50 }; /* a worker has its title soon after the fork, or never */

static int compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

static struct pool *pool_of(const struct instance *in, pid_t pid)
{
    char name[256];
    return procfs_pool(pid, name, sizeof name) ? instance_pool(in, name, strlen(name)) : NULL;
}

/* A title cut short: where there is one pool, there is only one it can be. As PID 1 the master has other children too. */
static struct pool *only_pool(const struct instance *in, pid_t pid)
{
    return in->pool_count == 1 && procfs_same_command(pid, in->master_pid) ? in->pools[0] : NULL;
}

static void close_list(struct workers *w)
{
    if (w->parent) {
        close(w->list_fd);
    }
    w->parent = 0;
}

/* The list is opened once: to find it in /proc takes longer than to read it. */
static ssize_t list(struct workers *w, const struct instance *in, pid_t *out, size_t room)
{
    pid_t parent = in->master_gone ? 0 : in->master_pid;
    if (w->parent != parent) {
        close_list(w);
        w->list_fd = parent ? procfs_open_children(parent) : -1;
        w->parent = w->list_fd != -1 ? parent : 0;
    }
    return w->parent ? procfs_children(w->list_fd, out, room) : -1;
}

void workers_scan(struct workers *w, struct instance *in)
{
    static pid_t pids[WORKERS_MAX];
    ssize_t n = list(w, in, pids, WORKERS_MAX);
    struct worker *fresh = n > 0 ? calloc((size_t)n, sizeof *fresh) : NULL;
    w->known = n == 0 || fresh;
    size_t old = 0, count = fresh ? (size_t)n : 0;
    qsort(pids, count, sizeof *pids, compare_pids);
    for (size_t i = 0; i < count; i++) {
        while (old < w->count && w->all[old].pid < pids[i]) {
            old++;
        }
        fresh[i] = old < w->count && w->all[old].pid == pids[i] ? w->all[old] : (struct worker){.pid = pids[i]};
        if (!fresh[i].pool && fresh[i].looks < TITLE_LOOKS) {
            fresh[i].looks++;
            fresh[i].pool = fresh[i].looks < TITLE_LOOKS ? pool_of(in, pids[i]) : only_pool(in, pids[i]);
        }
        if (fresh[i].pool) {
            fresh[i].pool->kernel.workers++;
        }
    }
    free(w->all);
    w->all = fresh;
    w->count = count;
}

void workers_forget(struct workers *w)
{
    close_list(w);
    free(w->all);
    *w = (struct workers){0};
}

void workers_look(struct workers *w, const struct pool *pool, bool window_over, bool *all_stopped, bool *all_burning)
{
    bool any = false, burning = true;
    *all_stopped = true;
    for (size_t i = 0; i < w->count; i++) {
        struct worker *one = &w->all[i];
        if (one->pool != pool) {
            continue;
        }
        struct worker_state now = procfs_worker(one->pid);
        *all_stopped &= now.state == 'T';
        burning &= one->state.state && now.slept == one->state.slept && now.user_ticks > one->state.user_ticks;
        if (window_over) {
            one->state = now;
        }
        any = true;
    }
    *all_stopped &= any;
    if (window_over) {
        *all_burning = any && burning;
    }
}
