/* A configuration from its document: defaults, what hangs together, what the machine adds; see config.h. */
#define _GNU_SOURCE
#include "config.h"

#include "bounds.h"
#include "config_fields.h"
#include "log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || (c && strcmp(word, c) == 0);
}

static bool is_script(const char *path)
{
    return !path[0] || (path[0] == '/' && strlen(path) <= SCRIPT_MAX_BYTES);
}

static int check_pool(const struct config_place *place, const char *key, const struct pool_config *pool)
{
    if (!pool->name[0] || strchr(pool->name, '/')) {
        return config_refuse(place, key, "name: must not be empty or hold a '/'");
    }
    if (!pool->listen[0]) {
        return config_refuse(place, key, "listen: missing");
    }
    if (!one_of(pool->pm, "static", "dynamic", "ondemand") && pool->pm[0]) {
        return config_refuse(place, key, "pm: must be static, dynamic or ondemand");
    }
    if (!one_of(pool->ready, "auto", "manual", NULL)) {
        return config_refuse(place, key, "ready: must be auto or manual");
    }
    if (!is_script(pool->warmup)) {
        return config_refuse(place, key, "warmup: must be the absolute path of a script, of at most 1024 bytes");
    }
    if (!is_script(pool->probe)) {
        return config_refuse(place, key, "probe: must be the absolute path of a script, of at most 1024 bytes");
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int refuse_twins(const struct config_place *place, const struct config *c)
{
    const char **names = calloc(c->pool_count + 1, sizeof *names);
    const char *twin = names ? NULL : "(out of memory)";
    for (size_t i = 0; names && i < c->pool_count; i++) {
        names[i] = c->pools[i].name;
    }
    if (names) {
        qsort(names, c->pool_count, sizeof *names, compare_names);
    }
    for (size_t i = 1; names && !twin && i < c->pool_count; i++) {
        twin = strcmp(names[i - 1], names[i]) == 0 ? names[i] : NULL;
    }
    free(names);
    return twin ? config_refuse(place, "pools", "two of the same name, or no memory to find out") : 0;
}

static int read_pools(const struct config_place *place, struct config *c)
{
    json_t *list = json_object_get(c->document, "pools");
    if (!json_is_array(list)) {
        return config_refuse(place, "pools", list ? "must be a list" : "missing");
    }
    c->pool_count = json_array_size(list);
    c->pools = calloc(c->pool_count ? c->pool_count : 1, sizeof *c->pools);
    if (!c->pools) {
        return config_refuse(place, "pools", "out of memory");
    }
    for (size_t i = 0; i < c->pool_count; i++) {
        struct pool_config *pool = &c->pools[i];
        char key[32];
        snprintf(key, sizeof key, "pools[%zu]", i);
        *pool = (struct pool_config){.name = "",
            .listen = "",
            .pm = "",
            .service = "",
            .address = "",
            .ready = "auto",
            .warmup = "",
            .probe = "",
            .status_path = "",
            .status_listen = "",
            .listen_group = "",
            .allowed_clients = "",
            .enabled = true};
        if (config_read_pool(place, key, json_array_get(list, i), pool) == -1 || check_pool(place, key, pool) == -1) {
            return -1;
        }
        if (!pool->service[0]) {
            pool->service = pool->name;
        }
    }
    return refuse_twins(place, c);
}

static bool is_set(const char *variable, const char *yes, const char *also_yes)
{
    const char *value = getenv(variable);
    return value && (strcasecmp(value, yes) == 0 || strcasecmp(value, also_yes) == 0);
}

/* What the file does not say of Consul is as Consul's own tools read it from the environment. */
static void complete_consul(struct config *c)
{
    static const struct {
        const char *variable, *key;
        size_t offset;
    } texts[] = {
        {"CONSUL_CACERT", "ca_cert", offsetof(struct config, consul.ca_cert)},
        {"CONSUL_CLIENT_CERT", "client_cert", offsetof(struct config, consul.client_cert)},
        {"CONSUL_CLIENT_KEY", "client_key", offsetof(struct config, consul.client_key)},
        {"CONSUL_NAMESPACE", "namespace", offsetof(struct config, consul.namespace)},
        {"CONSUL_PARTITION", "partition", offsetof(struct config, consul.partition)},
    };
    json_t *said = json_object_get(c->document, "consul");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = getenv(texts[i].variable);
        if (value && !json_object_get(said, texts[i].key) &&
            json_object_set_new(said, texts[i].key, json_string(value)) == 0) {
            *(const char **)(void *)((char *)c + texts[i].offset) =
                json_string_value(json_object_get(said, texts[i].key));
        }
    }
    if (!json_object_get(said, "verify") && is_set("CONSUL_HTTP_SSL_VERIFY", "false", "0")) {
        c->consul.verify = false;
    }
    if (config_wants_consul(c) && !strstr(c->consul.url, "://")) {
        bool tls = is_set("CONSUL_HTTP_SSL", "true", "1");
        json_object_set_new(said, "url", json_sprintf("%s://%s", tls ? "https" : "http", c->consul.url));
        c->consul.url = json_string_value(json_object_get(said, "url"));
    }
}

/* Defaults that need the machine become part of the document, so that every text has one owner. */
static void complete(struct config *c)
{
    complete_consul(c);
    if (!c->node[0]) {
        char host[HOST_NAME_MAX + 1] = "localhost";
        const char *named = getenv("SVCREG_NODE");
        gethostname(host, sizeof host - 1);
        json_t *node = json_string(named && *named ? named : host);
        json_object_set_new(c->document, "node", node);
        c->node = node ? json_string_value(node) : "localhost";
    }
    if (!c->run_dir[0]) {
        json_t *dir = json_sprintf("/run/svcreg/%s", c->instance);
        json_object_set_new(c->document, "run_dir", dir);
        c->run_dir = dir ? json_string_value(dir) : "/run/svcreg";
    }
}

static int check_top(const struct config_place *place, const struct config *c)
{
    enum log_level ignored;
    if (!log_level_parse(c->log_level, &ignored)) {
        return config_refuse(place, "log_level", "must be debug, notice, warning or error");
    }
    if (!c->instance[0] || strchr(c->instance, '/')) {
        return config_refuse(place, "instance", "must not be empty or hold a '/'");
    }
    if (c->consul.heartbeat_ms * 2 > c->consul.ttl_ms) {
        return config_refuse(place, "consul.heartbeat_ms", "must be at most half of ttl_ms");
    }
    return 0;
}

struct config *config_from_json(json_t *document, const char *name, char error[static CONFIG_ERROR_BYTES])
{
    struct config_place place = {name, error};
    struct config *c = calloc(1, sizeof *c);
    if (!c) {
        json_decref(document);
        config_refuse(&place, "(top)", "out of memory");
        return NULL;
    }
    *c = (struct config){
        .document = document,
        .node = "",
        .instance = "fpm-health",
        .php = "",
        .run_dir = "",
        .user = "",
        .log = "stderr",
        .log_level = "notice",
        .helper = {.path = ""},
        .consul = {.url = "off",
            .token_file = "",
            .ca_cert = "",
            .client_cert = "",
            .client_key = "",
            .namespace = "",
            .partition = "",
            .verify = true,
            .ttl_ms = 1500,
            .heartbeat_ms = 500,
            .deregister_after_ms = 60000},
        .drain = {.quiet_ms = 300, .probers_ms = 700, .timeout_ms = 25000},
        .hang_timeout_ms = 10000,
        .probe_interval_ms = 5000,
    };
    if (config_read_top(&place, document, c) == -1 || read_pools(&place, c) == -1 || check_top(&place, c) == -1) {
        config_destroy(c);
        return NULL;
    }
    complete(c);
    return c;
}

struct config *config_load(const char *path, char error[static CONFIG_ERROR_BYTES])
{
    struct stat st;
    json_error_t at;
    if (stat(path, &st) == 0 && st.st_size > CONFIG_MAX_BYTES) {
        snprintf(error, CONFIG_ERROR_BYTES, "%s: larger than %d bytes", path, CONFIG_MAX_BYTES);
        return NULL;
    }
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
    if (!document) {
        if (at.line > 0) {
            snprintf(error, CONFIG_ERROR_BYTES, "%s: line %d: %s", path, at.line, at.text);
        } else {
            snprintf(error, CONFIG_ERROR_BYTES, "%s", at.text);
        }
        return NULL;
    }
    return config_from_json(document, path, error);
}

void config_destroy(struct config *c)
{
    if (c) {
        free(c->pools);
        json_decref(c->document);
        free(c);
    }
}

bool config_wants_consul(const struct config *c)
{
    return c->consul.url[0] && strcmp(c->consul.url, "off") != 0;
}
