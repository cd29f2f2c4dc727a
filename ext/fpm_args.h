/* FPM's command line, read again from /proc: which configuration it will load, and whether it will serve at all. */
#ifndef SVCREG_FPM_ARGS_H
#define SVCREG_FPM_ARGS_H

#include <stdbool.h>

struct fpm_args {
    bool serves;   /* false for -t, -v, -i, -m, -h and whatever FPM will refuse */
    int daemonize; /* 1: -D, 0: -F, -1: as the configuration says */
    char *config;  /* -y or the ini setting fpm.config; NULL: the default place */
    char *prefix;  /* -p; NULL: the compiled-in one */
};

/* Reads /proc/self/cmdline; only in MINIT, before FPM's titles overwrite it. Returns 0, or -1 with errno. */
int fpm_args_read(struct fpm_args *args);
void fpm_args_free(struct fpm_args *args);

/* The configuration file that FPM will load. Caller frees. NULL: no memory. */
char *fpm_args_config_path(const struct fpm_args *args);

#endif
