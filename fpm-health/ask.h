/* A blocking request to a helper's control.sock, for the command line. */
#ifndef FPM_HEALTH_ASK_H
#define FPM_HEALTH_ASK_H

#include <stdbool.h>
#include <stddef.h>

/* Sends `method path` to the socket. Returns the HTTP status and in *body the answer's (to be freed, ended by NUL), or -1 with errno. */
int ask(const char *socket_path, const char *method, const char *path, char **body);

#endif
