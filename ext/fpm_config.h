/*
 * FPM's configuration file, read as FPM reads it (php-src sapi/fpm/fpm/fpm_conf.c): line by line with PHP's own INI
 * parser, includes with its depth and prefix rules. What FPM would refuse is not judged here: FPM says so itself.
 */
#ifndef SVCREG_FPM_CONFIG_H
#define SVCREG_FPM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The settings a pool may have of its own, as php_admin_value[svcreg.NAME]; see fpm_setting_names. */
enum fpm_setting {
    FPM_SET_ENABLED,
    FPM_SET_SERVICE,
    FPM_SET_TAGS,
    FPM_SET_META,
    FPM_SET_ADDRESS,
    FPM_SET_WEIGHT,
    FPM_SET_READY,
    FPM_SET_WARMUP,
    FPM_SET_PROBE,
    FPM_SETTINGS
};

struct fpm_pool {
    char *name;
    char *listen; /* "*:9000", "127.0.0.1:9000", "[::1]:9000", "name:9000" or "/path" */
    char *pm;     /* static, dynamic, ondemand */
    char *prefix;
    char *status_path;
    char *service; /* its name in Consul; helper_config.c's answer, NULL until then */
    char *status_listen;
    char *listen_group, *allowed_clients;
    uint32_t max_children;
    char *settings[FPM_SETTINGS]; /* NULL: not given, php.ini's holds */
};

struct fpm_config {
    char *path; /* of the main file */
    struct fpm_pool *pools;
    size_t count;
    bool daemonize;
    uint32_t process_control_timeout_s;
    char error[256]; /* why it could not be read; empty: it could */
};

/* Reads `path`; `prefix` is -p's, or NULL. Returns 0, or -1 with config->error. Free it in either case. */
int fpm_config_read(struct fpm_config *config, const char *path, const char *prefix);
void fpm_config_free(struct fpm_config *config);

#endif
