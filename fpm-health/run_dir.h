/* <run_dir>: made when missing, and held by one helper at a time. */
#ifndef FPM_HEALTH_RUN_DIR_H
#define FPM_HEALTH_RUN_DIR_H

#include <stddef.h>

/* Makes `run_dir` (and what is above it), owned by `user`, and takes <run_dir>/lock, waiting at most LOCK_WAIT_MS for another helper. Returns the lock's fd, or -1 (logged). */
int run_dir_lock(const char *run_dir, const char *user);

/* The folder of all instances for who asks: /run/svcreg, or below XDG_RUNTIME_DIR for a user who may not write there. */
const char *run_dir_root(char *room, size_t room_bytes);

/*
 * Finds control.sock: of `instance` below `root`, or the only one there where that is NULL. Returns 0; 64 when there are
 * several (named on stderr); 69 when there is none.
 */
int run_dir_find(const char *root, const char *instance, char *path, size_t room);

#endif
