/* Reading config.json by tables: one line a key; see config.h. */
#define _GNU_SOURCE
#include "config.h"

#include "bounds.h"
#include "log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { TEXT, NUMBER, FLAG, TEXTS, MAP, OBJECT };

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
    int64_t least, most; /* of a NUMBER */
    const struct field *object;
};

#define AT(member) offsetof(struct config, member)
#define POOL(member) offsetof(struct pool_config, member)
#define HOUR_MS (3600 * 1000)

static const struct field master_fields[] = {
    {"pid", NUMBER, AT(master.pid), 0, INT_MAX, NULL},
    {"start_time", NUMBER, AT(master.start_time), 0, INT64_MAX, NULL},
    {0},
};

static const struct field helper_fields[] = {
    {"path", TEXT, AT(helper.path), 0, 0, NULL},
    {"dev", NUMBER, AT(helper.dev), INT64_MIN, INT64_MAX, NULL},
    {"ino", NUMBER, AT(helper.ino), INT64_MIN, INT64_MAX, NULL},
    {"mtime", NUMBER, AT(helper.mtime), INT64_MIN, INT64_MAX, NULL},
    {0},
};

static const struct field consul_fields[] = {
    {"url", TEXT, AT(consul.url), 0, 0, NULL},
    {"token_file", TEXT, AT(consul.token_file), 0, 0, NULL},
    {"ca_cert", TEXT, AT(consul.ca_cert), 0, 0, NULL},
    {"client_cert", TEXT, AT(consul.client_cert), 0, 0, NULL},
    {"client_key", TEXT, AT(consul.client_key), 0, 0, NULL},
    {"verify", FLAG, AT(consul.verify), 0, 0, NULL},
    {"namespace", TEXT, AT(consul.namespace), 0, 0, NULL},
    {"partition", TEXT, AT(consul.partition), 0, 0, NULL},
    {"ttl_ms", NUMBER, AT(consul.ttl_ms), 100, 24 * HOUR_MS, NULL},
    {"heartbeat_ms", NUMBER, AT(consul.heartbeat_ms), 50, HOUR_MS, NULL},
    {"deregister_after_ms", NUMBER, AT(consul.deregister_after_ms), 0, INT_MAX, NULL},
    {0},
};

static const struct field drain_fields[] = {
    {"quiet_ms", NUMBER, AT(drain.quiet_ms), 0, HOUR_MS, NULL},
    {"probers_ms", NUMBER, AT(drain.probers_ms), 0, HOUR_MS, NULL},
    {"timeout_ms", NUMBER, AT(drain.timeout_ms), 0, HOUR_MS, NULL},
    {0},
};

static const struct field top_fields[] = {
    {"$schema", OBJECT, 0, 0, 0, NULL}, /* for editors; nothing to us */
    {"generation", NUMBER, AT(generation), 0, UINT32_MAX, NULL},
    {"node", TEXT, AT(node), 0, 0, NULL},
    {"instance", TEXT, AT(instance), 0, 0, NULL},
    {"php", TEXT, AT(php), 0, 0, NULL},
    {"master", OBJECT, 0, 0, 0, master_fields},
    {"helper", OBJECT, 0, 0, 0, helper_fields},
    {"run_dir", TEXT, AT(run_dir), 0, 0, NULL},
    {"user", TEXT, AT(user), 0, 0, NULL},
    {"log", TEXT, AT(log), 0, 0, NULL},
    {"log_level", TEXT, AT(log_level), 0, 0, NULL},
    {"consul", OBJECT, 0, 0, 0, consul_fields},
    {"health_listen", TEXTS, AT(health_listen), 0, 0, NULL},
    {"agent_listen", TEXTS, AT(agent_listen), 0, 0, NULL},
    {"drain", OBJECT, 0, 0, 0, drain_fields},
    {"hang_timeout_ms", NUMBER, AT(hang_timeout_ms), 100, 24 * HOUR_MS, NULL},
    {"probe_interval_ms", NUMBER, AT(probe_interval_ms), 100, 24 * HOUR_MS, NULL},
    {"pools", OBJECT, 0, 0, 0, NULL}, /* a list, read apart */
    {0},
};

static const struct field pool_fields[] = {
    {"name", TEXT, POOL(name), 0, 0, NULL},
    {"listen", TEXT, POOL(listen), 0, 0, NULL},
    {"pm", TEXT, POOL(pm), 0, 0, NULL},
    {"max_children", NUMBER, POOL(max_children), 0, 1000000, NULL},
    {"enabled", FLAG, POOL(enabled), 0, 0, NULL},
    {"service", TEXT, POOL(service), 0, 0, NULL},
    {"tags", TEXTS, POOL(tags), 0, 0, NULL},
    {"meta", MAP, POOL(meta), 0, 0, NULL},
    {"address", TEXT, POOL(address), 0, 0, NULL},
    {"weight", NUMBER, POOL(weight), 0, 65535, NULL},
    {"ready", TEXT, POOL(ready), 0, 0, NULL},
    {"warmup", TEXT, POOL(warmup), 0, 0, NULL},
    {"probe", TEXT, POOL(probe), 0, 0, NULL},
    {"status_path", TEXT, POOL(status_path), 0, 0, NULL},
    {"status_listen", TEXT, POOL(status_listen), 0, 0, NULL},
    {"listen_group", TEXT, POOL(listen_group), 0, 0, NULL},
    {"allowed_clients", TEXT, POOL(allowed_clients), 0, 0, NULL},
    {0},
};

/* Where we are, for errors: "file: key: reason". */
struct place {
    const char *file;
    char *error;
};

static int refuse(const struct place *place, const char *key, const char *reason)
{
    snprintf(place->error, CONFIG_ERROR_BYTES, "%s: %s: %s", place->file, key, reason);
    return -1;
}

static bool all_texts(const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item)) {
            return false;
        }
    }
    return json_is_array(value);
}

static bool all_text_values(json_t *value)
{
    const char *key;
    json_t *item;
    json_object_foreach(value, key, item)
    {
        if (!json_is_string(item)) {
            return false;
        }
    }
    return json_is_object(value);
}

static int read_object(const struct place *, const char *, json_t *, const struct field *, void *);

static int read_field(const struct place *place, const char *key, json_t *value, const struct field *f, void *base)
{
    char *to = (char *)base + f->offset;
    switch (f->kind) {
    case TEXT:
        if (!json_is_string(value)) {
            return refuse(place, key, "must be a string");
        }
        *(const char **)(void *)to = json_string_value(value);
        return 0;
    case NUMBER:
        if (!json_is_integer(value)) {
            return refuse(place, key, "must be a whole number");
        }
        *(int64_t *)(void *)to = json_integer_value(value);
        if (json_integer_value(value) < f->least || json_integer_value(value) > f->most) {
            char reason[96];
            snprintf(reason, sizeof reason, "must be from %lld to %lld", (long long)f->least, (long long)f->most);
            return refuse(place, key, reason);
        }
        return 0;
    case FLAG:
        if (!json_is_boolean(value)) {
            return refuse(place, key, "must be true or false");
        }
        *(bool *)to = json_is_true(value);
        return 0;
    case TEXTS:
        *(json_t **)(void *)to = value;
        return all_texts(value) ? 0 : refuse(place, key, "must be a list of strings");
    case MAP:
        *(json_t **)(void *)to = value;
        /* PHP writes an empty map as [] */
        return all_text_values(value) || (json_is_array(value) && json_array_size(value) == 0)
            ? 0
            : refuse(place, key, "must be an object of strings");
    case OBJECT: return f->object ? read_object(place, key, value, f->object, base) : 0;
    }
    return -1;
}

static int read_object(
    const struct place *place, const char *name, json_t *object, const struct field *fields, void *base)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return refuse(place, name[0] ? name : "(top)", "must be an object");
    }
    json_object_foreach(object, key, value)
    {
        char path[128];
        snprintf(path, sizeof path, "%s%s%s", name, name[0] ? "." : "", key);
        const struct field *f = fields;
        while (f->key && strcmp(f->key, key) != 0) {
            f++;
        }
        if (!f->key) {
            return refuse(place, path, "unknown key");
        }
        if (read_field(place, path, value, f, base) == -1) {
            return -1;
        }
    }
    return 0;
}

static bool one_of(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || (c && strcmp(word, c) == 0);
}

static bool is_script(const char *path)
{
    return !path[0] || (path[0] == '/' && strlen(path) <= SCRIPT_MAX_BYTES);
}

static int check_pool(const struct place *place, const char *key, const struct pool_config *pool)
{
    if (!pool->name[0] || strchr(pool->name, '/')) {
        return refuse(place, key, "name: must not be empty or hold a '/'");
    }
    if (!pool->listen[0]) {
        return refuse(place, key, "listen: missing");
    }
    if (!one_of(pool->pm, "static", "dynamic", "ondemand") && pool->pm[0]) {
        return refuse(place, key, "pm: must be static, dynamic or ondemand");
    }
    if (!one_of(pool->ready, "auto", "manual", NULL)) {
        return refuse(place, key, "ready: must be auto or manual");
    }
    if (!is_script(pool->warmup)) {
        return refuse(place, key, "warmup: must be the absolute path of a script, of at most 1024 bytes");
    }
    if (!is_script(pool->probe)) {
        return refuse(place, key, "probe: must be the absolute path of a script, of at most 1024 bytes");
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int refuse_twins(const struct place *place, const struct config *c)
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
    return twin ? refuse(place, "pools", "two of the same name, or no memory to find out") : 0;
}

static int read_pools(const struct place *place, struct config *c)
{
    json_t *list = json_object_get(c->document, "pools");
    if (!json_is_array(list)) {
        return refuse(place, "pools", list ? "must be a list" : "missing");
    }
    c->pool_count = json_array_size(list);
    c->pools = calloc(c->pool_count ? c->pool_count : 1, sizeof *c->pools);
    if (!c->pools) {
        return refuse(place, "pools", "out of memory");
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
        if (read_object(place, key, json_array_get(list, i), pool_fields, pool) == -1 ||
            check_pool(place, key, pool) == -1) {
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
        {"CONSUL_CACERT", "ca_cert", AT(consul.ca_cert)},
        {"CONSUL_CLIENT_CERT", "client_cert", AT(consul.client_cert)},
        {"CONSUL_CLIENT_KEY", "client_key", AT(consul.client_key)},
        {"CONSUL_NAMESPACE", "namespace", AT(consul.namespace)},
        {"CONSUL_PARTITION", "partition", AT(consul.partition)},
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

static int check_top(const struct place *place, const struct config *c)
{
    enum log_level ignored;
    if (!log_level_parse(c->log_level, &ignored)) {
        return refuse(place, "log_level", "must be debug, notice, warning or error");
    }
    if (!c->instance[0] || strchr(c->instance, '/')) {
        return refuse(place, "instance", "must not be empty or hold a '/'");
    }
    if (c->consul.heartbeat_ms * 2 > c->consul.ttl_ms) {
        return refuse(place, "consul.heartbeat_ms", "must be at most half of ttl_ms");
    }
    return 0;
}

struct config *config_from_json(json_t *document, const char *name, char error[static CONFIG_ERROR_BYTES])
{
    struct place place = {name, error};
    struct config *c = calloc(1, sizeof *c);
    if (!c) {
        json_decref(document);
        refuse(&place, "(top)", "out of memory");
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
    if (read_object(&place, "", document, top_fields, c) == -1 || read_pools(&place, c) == -1 ||
        check_top(&place, c) == -1) {
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
