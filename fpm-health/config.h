/* config.json: what the extension writes, and what a person can write as well. */
#ifndef FPM_HEALTH_CONFIG_H
#define FPM_HEALTH_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All texts and lists belong to config.document. */
struct pool_config {
    const char *name, *listen, *pm, *service, *address, *ready, *warmup, *probe, *status_path, *status_listen,
        *listen_group, *allowed_clients;
    json_t *tags, *meta; /* NULL: none */
    int64_t max_children, weight;
    bool enabled;
};

struct consul_config {
    const char *url, *token_file, *ca_cert, *client_cert, *client_key, *namespace, *partition;
    bool verify;
    int64_t ttl_ms, heartbeat_ms, deregister_after_ms;
};

struct config {
    json_t *document;
    int64_t generation;
    const char *node, *instance, *php, *run_dir, *user, *log, *log_level;
    struct {
        int64_t pid, start_time;
    } master; /* pid 0: none */
    struct {
        const char *path;
        int64_t dev, ino, mtime;
    } helper;
    struct consul_config consul;
    json_t *health_listen, *agent_listen; /* NULL: none */
    struct {
        int64_t quiet_ms, probers_ms, timeout_ms;
    } drain;
    int64_t hang_timeout_ms, probe_interval_ms;
    struct pool_config *pools;
    size_t pool_count;
};

enum { CONFIG_ERROR_BYTES = 256 };

/* Reads a file. Returns NULL and in `error` file, key and reason. The caller owns the result. */
struct config *config_load(const char *path, char error[static CONFIG_ERROR_BYTES]);

/* The same from a document (taken over, also on error); `name` stands for the file in errors. */
struct config *config_from_json(json_t *document, const char *name, char error[static CONFIG_ERROR_BYTES]);

void config_destroy(struct config *config);

/* "off" or empty: no Consul. */
bool config_wants_consul(const struct config *config);

/*
 * What a reload may leave alone. The same place: the same IDs at the same Consul, so that registrations are carried on; the
 * same connection: nothing about Consul has changed. The same listeners: those of probers, not control.sock.
 */
bool config_same_place(const struct config *a, const struct config *b);
bool config_same_connection(const struct config *a, const struct config *b);
bool config_same_listeners(const struct config *a, const struct config *b);

#endif
