/* `fpm-health serve`. */
#ifndef FPM_HEALTH_SERVE_H
#define FPM_HEALTH_SERVE_H

#include "config.h"

struct serve_options {
    struct config *config;                  /* taken over */
    const char *config_path;                /* NULL: the configuration came from the command line */
    int board_fd, doorbell_fd, lifeline_fd; /* -1: none */
};

/* Serves until there is a reason to end. Returns the exit code. */
int serve(const struct serve_options *options);

#endif
