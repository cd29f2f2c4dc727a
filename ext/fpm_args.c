#include "php_svcreg.h"
#include "fpm_args.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "php_getopt.h"
#include "build-defs.h"

enum { MAX_CMDLINE_BYTES = 1 << 20, MAX_ARGS = 4096 };

/* The options of php-src sapi/fpm/fpm/fpm_main.c, so that bundled and joined forms read as they do there. */
static const opt_struct options[] = {
    {'c', 1, "php-ini"},
    {'d', 1, "define"},
    {'e', 0, "profile-info"},
    {'h', 0, "help"},
    {'i', 0, "info"},
    {'m', 0, "modules"},
    {'n', 0, "no-php-ini"},
    {'?', 0, "usage"},
    {'v', 0, "version"},
    {'t', 0, "test"},
    {'p', 1, "prefix"},
    {'g', 1, "pid"},
    {'R', 0, "allow-to-run-as-root"},
    {'D', 0, "daemonize"},
    {'F', 0, "nodaemonize"},
    {'O', 0, "force-stderr"},
    {'y', 1, "fpm-config"},
    {'-', 0, NULL},
};

/* The whole of /proc/self/cmdline with a NUL behind it. Caller frees. */
static char *read_cmdline(size_t *bytes)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    char *buffer = fd == -1 ? NULL : malloc(MAX_CMDLINE_BYTES + 1);
    ssize_t n = 0;
    *bytes = 0;
    while (buffer && *bytes < MAX_CMDLINE_BYTES && (n = read(fd, buffer + *bytes, MAX_CMDLINE_BYTES - *bytes)) > 0) {
        *bytes += (size_t)n;
    }
    if (fd != -1) {
        close(fd);
    }
    if (buffer) {
        buffer[*bytes] = '\0';
    }
    return buffer;
}

static void set_text(char **target, const char *value)
{
    free(*target);
    *target = strdup(value);
}

static void parse(struct fpm_args *args, int argc, char **argv)
{
    char *optarg = NULL;
    int optind = 1, c;

    args->serves = true;
    while ((c = php_getopt(argc, argv, options, &optarg, &optind, 0, 2)) != -1) {
        switch (c) {
        case 'y': set_text(&args->config, optarg); break;
        case 'p': set_text(&args->prefix, optarg); break;
        case 'D': args->daemonize = 1; break;
        case 'F': args->daemonize = 0; break;
        case 'c':
        case 'd':
        case 'e':
        case 'n':
        case 'g':
        case 'R':
        case 'O': break;
        default: args->serves = false; break;
        }
    }
}

int fpm_args_read(struct fpm_args *args)
{
    *args = (struct fpm_args){.daemonize = -1};
    size_t bytes;
    char *cmdline = read_cmdline(&bytes);
    char **argv = cmdline ? calloc(MAX_ARGS + 1, sizeof *argv) : NULL;
    if (!argv) {
        free(cmdline);
        return -1;
    }
    int argc = 0;
    for (size_t at = 0; at < bytes && argc < MAX_ARGS; at += strlen(cmdline + at) + 1) {
        argv[argc++] = cmdline + at;
    }
    parse(args, argc, argv);
    free(argv);
    free(cmdline);
    if (!args->config) {
        const char *from_ini = NULL;
        if (cfg_get_string("fpm.config", (char **)&from_ini) == SUCCESS && from_ini && *from_ini) {
            args->config = strdup(from_ini);
        }
    }
    return 0;
}

void fpm_args_free(struct fpm_args *args)
{
    free(args->config);
    free(args->prefix);
    *args = (struct fpm_args){0};
}

char *fpm_args_config_path(const struct fpm_args *args)
{
    char *path = NULL;
    if (args->config) {
        return strdup(args->config);
    }
    if (args->prefix) {
        return asprintf(&path, "%s/etc/php-fpm.conf", args->prefix) == -1 ? NULL : path;
    }
    /* Debian patches FPM to read a place with the version in it */
    if (asprintf(&path, "%s/php/%d.%d/fpm/php-fpm.conf", PHP_SYSCONFDIR, PHP_MAJOR_VERSION, PHP_MINOR_VERSION) == -1) {
        return NULL;
    }
    if (access(path, F_OK) == 0) {
        return path;
    }
    free(path);
    return asprintf(&path, "%s/php-fpm.conf", PHP_SYSCONFDIR) == -1 ? NULL : path;
}
