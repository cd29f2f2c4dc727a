/* Reading config.json by tables: one line a key; see config_fields.h. */
#include "config_fields.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

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

int config_refuse(const struct config_place *place, const char *key, const char *reason)
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

static int read_object(const struct config_place *, const char *, json_t *, const struct field *, void *);

static int read_field(
    const struct config_place *place, const char *key, json_t *value, const struct field *f, void *base)
{
    char *to = (char *)base + f->offset;
    switch (f->kind) {
    case TEXT:
        if (!json_is_string(value)) {
            return config_refuse(place, key, "must be a string");
        }
        *(const char **)(void *)to = json_string_value(value);
        return 0;
    case NUMBER:
        if (!json_is_integer(value)) {
            return config_refuse(place, key, "must be a whole number");
        }
        *(int64_t *)(void *)to = json_integer_value(value);
        if (json_integer_value(value) < f->least || json_integer_value(value) > f->most) {
            char reason[96];
            snprintf(reason, sizeof reason, "must be from %lld to %lld", (long long)f->least, (long long)f->most);
            return config_refuse(place, key, reason);
        }
        return 0;
    case FLAG:
        if (!json_is_boolean(value)) {
            return config_refuse(place, key, "must be true or false");
        }
        *(bool *)to = json_is_true(value);
        return 0;
    case TEXTS:
        *(json_t **)(void *)to = value;
        return all_texts(value) ? 0 : config_refuse(place, key, "must be a list of strings");
    case MAP:
        *(json_t **)(void *)to = value;
        /* PHP writes an empty map as [] */
        return all_text_values(value) || (json_is_array(value) && json_array_size(value) == 0)
            ? 0
            : config_refuse(place, key, "must be an object of strings");
    case OBJECT: return f->object ? read_object(place, key, value, f->object, base) : 0;
    }
    return -1;
}

static int read_object(
    const struct config_place *place, const char *name, json_t *object, const struct field *fields, void *base)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) {
        return config_refuse(place, name[0] ? name : "(top)", "must be an object");
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
            return config_refuse(place, path, "unknown key");
        }
        if (read_field(place, path, value, f, base) == -1) {
            return -1;
        }
    }
    return 0;
}

int config_read_top(const struct config_place *place, json_t *document, struct config *config)
{
    return read_object(place, "", document, top_fields, config);
}

int config_read_pool(const struct config_place *place, const char *key, json_t *object, struct pool_config *pool)
{
    return read_object(place, key, object, pool_fields, pool);
}
