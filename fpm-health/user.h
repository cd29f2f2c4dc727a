/* Whom the helper serves as, and whose its files are. */
#ifndef FPM_HEALTH_USER_H
#define FPM_HEALTH_USER_H

#include "config.h"

#include <stdbool.h>
#include <sys/types.h>

/* Gives the file behind `fd` (O_PATH will do) to `user`, if we are root and it is named. `name` is for the log. */
void user_own(int fd, const char *name, const char *user);

/* The same of a socket that we have just bound in a directory where `user` may put other things in its place. */
void user_own_socket(const char *path, const char *user);

/* Who may use control.sock beside root: `user`, unless it is an account that others share; 0: nobody may. */
uid_t user_of_control(const char *user);

/* Whether a directory of this owner is one that root, we, or `user` made. */
bool user_may_own(const char *user, uid_t owner);

/*
 * Becomes config->user for good, if we are root and it is named; with the groups of the pools' sockets, but for root's, so that
 * they may be opened. Where setuid is refused we stay, and say so.
 */
void user_drop(const struct config *config);

#endif
