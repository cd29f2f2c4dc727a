#include "settings.h"
#include "helper_config.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "php_version.h"
#include "ext/json/php_json.h"
#include "zend_smart_str.h"

static void add_text(zval *object, const char *key, const char *value)
{
    add_assoc_string(object, key, value ? value : "");
}

/* Calls `each` for every trimmed, not empty part of a comma-separated list. */
static void for_each_part(const char *list, void (*each)(zval *target, const char *part, size_t length), zval *target)
{
    while (*list) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ",");
        size_t trimmed = n;
        while (trimmed && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t')) {
            trimmed--;
        }
        if (trimmed) {
            each(target, list, trimmed);
        }
        list += n;
    }
}

static void add_list_part(zval *list, const char *part, size_t length)
{
    add_next_index_stringl(list, part, length);
}

static void add_meta_part(zval *meta, const char *part, size_t length)
{
    const char *equals = memchr(part, '=', length);
    size_t key = equals ? (size_t)(equals - part) : length;
    zval value;
    ZVAL_STRINGL(&value, equals ? equals + 1 : "", equals ? length - key - 1 : 0);
    zend_hash_str_update(Z_ARRVAL_P(meta), part, key, &value);
}

static void add_list(zval *object, const char *key, const char *text)
{
    zval list;
    array_init(&list);
    if (strcmp(text, "off") != 0) {
        for_each_part(text, add_list_part, &list);
    }
    add_assoc_zval(object, key, &list);
}

/* The port of a listen address; 0 for a unix socket. */
static unsigned port_of(const char *listen)
{
    const char *colon = *listen == '/' ? NULL : strrchr(listen, ':');
    return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

/* SERVICE_<port>_KEY, else SERVICE_KEY, as Registrator reads a container's environment. *own: it was the port's. */
static const char *service_env(unsigned port, const char *key, bool *own)
{
    char name[64];
    const char *value = NULL;
    *own = false;
    if (port) {
        snprintf(name, sizeof name, "SERVICE_%u_%s", port, key);
        value = settings_env(name);
        *own = value != NULL;
    }
    if (!value) {
        snprintf(name, sizeof name, "SERVICE_%s", key);
        value = settings_env(name);
    }
    return value;
}

/* Every other SERVICE_KEY=value becomes meta, its key in lower case; SERVICE_<port>_KEY wins, for its port alone. */
static void add_env_meta(zval *meta, unsigned port)
{
    char port_text[16];
    size_t port_length = (size_t)snprintf(port_text, sizeof port_text, "%u_", port);
    for (int own = 0; own < 2; own++) {
        for (char **e = settings_environ(); e && *e; e++) {
            if (strncmp(*e, "SERVICE_", 8) != 0) {
                continue;
            }
            const char *key = *e + 8;
            bool numbered = *key >= '0' && *key <= '9';
            if (numbered != (own == 1) || (numbered && strncmp(key, port_text, port_length) != 0)) {
                continue;
            }
            key += numbered ? port_length : 0;
            size_t n = strcspn(key, "=");
            static const char *const taken[] = {"NAME", "TAGS", "ID", "IGNORE", "CHECK_"};
            bool is_taken = n == 0 || key[n] == '\0';
            for (size_t t = 0; t < sizeof taken / sizeof *taken; t++) {
                size_t length = strlen(taken[t]);
                is_taken |= strncmp(key, taken[t], length) == 0 && (n == length || taken[t][length - 1] == '_');
            }
            if (!is_taken) {
                zend_string *lower = zend_string_alloc(n, 0);
                zend_str_tolower_copy(ZSTR_VAL(lower), key, n);
                zval value;
                ZVAL_STRING(&value, key + n + 1);
                zend_hash_update(Z_ARRVAL_P(meta), lower, &value);
                zend_string_release(lower);
            }
        }
    }
}

static bool pool_enabled(const struct fpm_pool *pool)
{
    bool own;
    const char *setting = pool->settings[FPM_SET_ENABLED];
    if (setting) {
        return *setting && strcmp(setting, "0") != 0 && strcasecmp(setting, "off") != 0 &&
            strcasecmp(setting, "no") != 0;
    }
    return !service_env(port_of(pool->listen), "IGNORE", &own);
}

/* A name meant for all pools is told apart by the pool's, where there are several: pools never merge by accident. */
static char *service_name(const struct fpm_pool *pool, size_t registered)
{
    const char *exact = pool->settings[FPM_SET_SERVICE];
    bool own = false;
    char *name = NULL;
    if (exact && *exact) {
        return strdup(exact);
    }
    const char *common = *SVCREG_G(service) ? SVCREG_G(service) : service_env(port_of(pool->listen), "NAME", &own);
    if (!common || own || registered < 2) {
        return strdup(common ? common : pool->name);
    }
    return asprintf(&name, "%s-%s", common, pool->name) == -1 ? NULL : name;
}

static zend_long pool_weight(const struct fpm_pool *pool)
{
    const char *text = pool->settings[FPM_SET_WEIGHT];
    if (!text) {
        return SVCREG_G(weight);
    }
    char *end;
    zend_long n = ZEND_STRTOL(text, &end, 10);
    if (*text && *end == '\0' && n >= 0 && n <= 65535) {
        return n;
    }
    say_warning(
        "pool %s: svcreg.weight: \"%s\" is not a weight from 1 to 65535; pm.max_children is used", pool->name, text);
    return 0;
}

static const char *pool_ready(const struct fpm_pool *pool)
{
    const char *text = pool->settings[FPM_SET_READY];
    if (!text || strcmp(text, "auto") == 0 || strcmp(text, "manual") == 0) {
        return text ? text : SVCREG_G(ready);
    }
    say_warning(
        "pool %s: svcreg.ready: \"%s\" is not auto or manual; \"%s\" is used", pool->name, text, SVCREG_G(ready));
    return SVCREG_G(ready);
}

static const char *own_or(const struct fpm_pool *pool, enum fpm_setting which, const char *common)
{
    return pool->settings[which] ? pool->settings[which] : common;
}

static void add_pool(zval *pools, const struct fpm_pool *pool)
{
    zval object, meta;
    bool own;
    unsigned port = port_of(pool->listen);
    const char *env_tags = service_env(port, "TAGS", &own);

    array_init(&object);
    add_text(&object, "name", pool->name);
    add_text(&object, "listen", pool->listen);
    add_text(&object, "pm", pool->pm);
    add_assoc_long(&object, "max_children", pool->max_children);
    add_assoc_bool(&object, "enabled", pool_enabled(pool));
    add_text(&object, "service", pool->service);
    const char *tags = own_or(pool, FPM_SET_TAGS, SVCREG_G(tags));
    add_list(&object, "tags", *tags ? tags : env_tags ? env_tags : "");
    array_init(&meta);
    add_env_meta(&meta, port);
    for_each_part(SVCREG_G(meta), add_meta_part, &meta);
    if (pool->settings[FPM_SET_META]) {
        for_each_part(pool->settings[FPM_SET_META], add_meta_part, &meta);
    }
    if (zend_hash_num_elements(Z_ARRVAL(meta))) {
        add_assoc_zval(&object, "meta", &meta);
    } else { /* PHP's encoder would write [] */
        zval_ptr_dtor(&meta);
    }
    add_text(&object, "address", own_or(pool, FPM_SET_ADDRESS, SVCREG_G(address)));
    add_assoc_long(&object, "weight", pool_weight(pool));
    add_text(&object, "ready", pool_ready(pool));
    add_text(&object, "warmup", own_or(pool, FPM_SET_WARMUP, SVCREG_G(warmup)));
    add_text(&object, "probe", own_or(pool, FPM_SET_PROBE, SVCREG_G(probe)));
    add_text(&object, "status_path", pool->status_path);
    add_text(&object, "status_listen", pool->status_listen);
    add_text(&object, "listen_group", pool->listen_group);
    add_text(&object, "allowed_clients", pool->allowed_clients);
    add_next_index_zval(pools, &object);
}

static bool env_is_false(const char *name)
{
    const char *value = settings_env(name);
    return value && (strcmp(value, "0") == 0 || strcasecmp(value, "false") == 0);
}

static void add_consul(zval *config, const struct helper_config *hc)
{
    zval consul;
    array_init(&consul);
    add_text(&consul, "url", hc->consul_url);
    add_text(&consul, "token_file", SVCREG_G(token_file));
    add_text(&consul, "ca_cert", settings_env("CONSUL_CACERT"));
    add_text(&consul, "client_cert", settings_env("CONSUL_CLIENT_CERT"));
    add_text(&consul, "client_key", settings_env("CONSUL_CLIENT_KEY"));
    add_assoc_bool(&consul, "verify", !env_is_false("CONSUL_HTTP_SSL_VERIFY"));
    add_text(&consul, "namespace", settings_env("CONSUL_NAMESPACE"));
    add_text(&consul, "partition", settings_env("CONSUL_PARTITION"));
    add_assoc_long(&consul, "ttl_ms", SVCREG_G(ttl_ms));
    add_assoc_long(&consul, "heartbeat_ms", SVCREG_G(heartbeat_ms));
    add_assoc_long(&consul, "deregister_after_ms", SVCREG_G(deregister_after_ms));
    add_assoc_zval(config, "consul", &consul);
}

static void add_identity(zval *config, const struct helper_config *hc)
{
    zval master, helper;
    struct stat st = {0};

    array_init(&master);
    add_assoc_long(&master, "pid", hc->master_pid);
    add_assoc_long(&master, "start_time", (zend_long)hc->master_start);
    add_assoc_zval(config, "master", &master);

    stat(SVCREG_G(helper), &st); /* missing: all zero, and starting it says so */
    array_init(&helper);
    add_text(&helper, "path", SVCREG_G(helper));
    add_assoc_long(&helper, "dev", (zend_long)st.st_dev);
    add_assoc_long(&helper, "ino", (zend_long)st.st_ino);
    add_assoc_long(&helper, "mtime", st.st_mtime);
    add_assoc_zval(config, "helper", &helper);
}

static void add_drain(zval *config)
{
    zval drain;
    array_init(&drain);
    add_assoc_long(&drain, "quiet_ms", SVCREG_G(drain_quiet_ms));
    add_assoc_long(&drain, "probers_ms", SVCREG_G(drain_probers_ms));
    add_assoc_long(&drain, "timeout_ms", SVCREG_G(drain_timeout_ms));
    add_assoc_zval(config, "drain", &drain);
}

static void build(zval *config, const struct helper_config *hc)
{
    array_init(config);
    add_assoc_long(config, "generation", hc->generation);
    add_text(config, "node", hc->node);
    add_text(config, "instance", hc->instance);
    add_text(config, "php", PHP_VERSION);
    add_identity(config, hc);
    add_text(config, "run_dir", hc->directory);
    add_text(config, "user", settings_user());
    add_text(config, "log", *SVCREG_G(log) ? SVCREG_G(log) : hc->daemonize ? "syslog" : "stderr");
    add_text(config, "log_level", SVCREG_G(log_level));
    add_consul(config, hc);
    add_list(config, "health_listen", SVCREG_G(health_listen));
    add_list(config, "agent_listen", SVCREG_G(agent_listen));
    add_drain(config);
    add_assoc_long(config, "hang_timeout_ms", SVCREG_G(hang_timeout_ms));
    add_assoc_long(config, "probe_interval_ms", SVCREG_G(probe_interval_ms));

    zval pools;
    size_t registered = 0;
    array_init_size(&pools, (uint32_t)hc->fpm->count);
    for (size_t i = 0; i < hc->fpm->count; i++) {
        registered += pool_enabled(&hc->fpm->pools[i]);
    }
    for (size_t i = 0; i < hc->fpm->count; i++) {
        hc->fpm->pools[i].service = service_name(&hc->fpm->pools[i], registered);
        add_pool(&pools, &hc->fpm->pools[i]);
    }
    add_assoc_zval(config, "pools", &pools);
}

/*
 * Makes the directory, or takes the one that is there, and where FPM is root gives it to the helper's user. Returns its
 * descriptor: a link to another place is none, and what is done in it is done in this one. -1 with errno.
 */
static int open_directory(const char *path, const struct passwd *owner)
{
    if (mkdir(path, 0755) == -1 && errno != EEXIST) {
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd != -1 && owner && fchown(fd, owner->pw_uid, owner->pw_gid) == -1) {
        int saved = errno;
        close(fd);
        errno = saved;
        fd = -1;
    }
    return fd;
}

static int write_whole(int dir, const char *name, const char *bytes, size_t length, const struct passwd *owner)
{
    unlinkat(dir, name,
        0); /* a leftover of a writer that died; in a directory of the helper's user nothing here is followed */
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd == -1) {
        return -1;
    }
    int rc = owner ? fchown(fd, (uid_t)-1, owner->pw_gid) : 0;
    while (rc == 0 && length) {
        ssize_t n = write(fd, bytes, length);
        if (n == -1 && errno != EINTR) {
            rc = -1;
        } else if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

int helper_config_write(const struct helper_config *hc, char *what, size_t what_bytes)
{
    zval config;
    smart_str json = {0};
    int rc = -1;
    const char *user = settings_user();
    const struct passwd *found = *user ? getpwnam(user) : NULL;
    struct passwd copy; /* the next getpwnam() writes over what this one returned */
    const struct passwd *owner = found ? &copy : NULL;
    if (found) {
        copy = *found;
    }
    char parent[PATH_MAX];
    int dir = -1;

    if ((size_t)snprintf(parent, sizeof parent, "%s", hc->directory) >= sizeof parent) {
        errno = ENAMETOOLONG;
        snprintf(what, what_bytes, "svcreg.run_dir");
        return -1;
    }
    build(&config, hc);
    php_json_encode(
        &json, &config, PHP_JSON_UNESCAPED_SLASHES | PHP_JSON_PRETTY_PRINT | PHP_JSON_INVALID_UTF8_SUBSTITUTE);
    smart_str_appendc(&json, '\n');
    smart_str_0(&json);
    if (*user && !owner) {
        snprintf(what, what_bytes, "find the user %s", user);
        errno = ENOENT;
    } else if ((mkdir(dirname(parent), 0755) == -1 && errno != EEXIST) ||
        (dir = open_directory(hc->directory, owner)) == -1) {
        snprintf(what, what_bytes, "make %s", hc->directory);
    } else if (write_whole(dir, "config.json.new", ZSTR_VAL(json.s), ZSTR_LEN(json.s), owner) == -1 ||
        renameat(dir, "config.json.new", dir, "config.json") == -1) {
        snprintf(what, what_bytes, "write %s/config.json", hc->directory);
    } else {
        rc = 0;
    }
    int saved = errno;
    if (dir != -1) {
        close(dir);
    }
    zval_ptr_dtor(&config);
    smart_str_free(&json);
    errno = saved;
    return rc;
}
