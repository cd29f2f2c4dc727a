/* config.json: what fpm-health is told of this FPM. Its format is documented in docs/config.md. */
#ifndef SVCREG_HELPER_CONFIG_H
#define SVCREG_HELPER_CONFIG_H

#include <stdint.h>
#include <sys/types.h>

#include "fpm_config.h"

struct helper_config {
    struct fpm_config *fpm; /* its pools' `service` is set here */
    const char *instance;
    const char *node;
    const char *consul_url;
    const char *directory; /* <run_dir>/<instance> */
    uint32_t generation;
    pid_t master_pid;
    uint64_t master_start;
    int daemonize;
};

/*
 * Makes `directory` (owned by the helper's user where FPM is root) and writes config.json into it, whole or not at all.
 * Returns 0, or -1 with errno and, in *what, what could not be done to which path.
 */
int helper_config_write(const struct helper_config *hc, char *what, size_t what_bytes);

#endif
