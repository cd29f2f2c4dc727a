#include "php_svcreg.h"
#include "status.h"
#include "master.h"
#include "worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "ext/standard/info.h"

static const char *consul_state_name(uint32_t state)
{
    static const char *const names[] = {"off", "connecting", "ok", "failing"};
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

static void add_text(zval *array, const char *key, struct board_text *text)
{
    char copy[BOARD_TEXT_BYTES];
    board_text_get(text, copy);
    add_assoc_string(array, key, copy);
}

static void add_service_id(zval *pool, const char *name)
{
    const struct master_identity *us = master_identity();
    zend_string *id = strpprintf(0, "svcreg:%s:%s:%s", us->node, us->instance, name);
    add_assoc_str(pool, "service_id", id);
}

static void add_pool(zval *pools, const struct fpm_pool *config, struct board_pool_info *info)
{
    zval pool, workers, queue;
    uint32_t total = info->workers_total, active = info->workers_active;

    array_init(&pool);
    add_assoc_string(&pool, "name", config->name);
    add_assoc_string(&pool, "listen", config->listen);
    add_assoc_string(&pool, "service", config->service ? config->service : config->name);
    add_service_id(&pool, config->name);
    add_assoc_string(&pool, "state", board_state_name(info->state));
    add_text(&pool, "reason", &info->reason);
    add_assoc_long(&pool, "weight", info->weight);
    array_init(&workers);
    add_assoc_long(&workers, "max", config->max_children);
    add_assoc_long(&workers, "total", total);
    add_assoc_long(&workers, "active", active);
    add_assoc_long(&workers, "idle", total > active ? total - active : 0);
    add_assoc_zval(&pool, "workers", &workers);
    array_init(&queue);
    add_assoc_long(&queue, "length", info->queue_length);
    add_assoc_long(&queue, "max", info->queue_max);
    add_assoc_zval(&pool, "queue", &queue);
    add_assoc_long(&pool, "requests", (zend_long)info->requests);
    add_assoc_long(&pool, "since", (zend_long)info->since_s);
    add_assoc_bool(&pool, "registered", info->registered != 0);
    add_next_index_zval(pools, &pool);
}

static void add_helper(zval *result, struct board_header *h)
{
    zval helper;
    uint64_t started = h->helper_started_s, now = (uint64_t)time(NULL);
    array_init(&helper);
    add_assoc_long(&helper, "pid", h->helper_pid);
    add_assoc_long(&helper, "uptime_s", started && now > started ? (zend_long)(now - started) : 0);
    add_text(&helper, "error", &h->helper_error);
    add_assoc_zval(result, "helper", &helper);
}

void status_array(zval *result)
{
    const struct fpm_config *config = master_config();
    const struct board *board = master_board();
    zval master, consul, pools;

    worker_join();
    array_init(result);
    if (!config || !svcreg_worker.forked) {
        return;
    }
    struct board_header *h = board_header(board);
    const struct master_identity *us = master_identity();
    add_assoc_string(result, "version", SVCREG_VERSION);
    add_assoc_string(result, "node", us->node);
    add_assoc_string(result, "instance", us->instance);
    add_assoc_long(result, "generation", h->generation);
    array_init(&master);
    add_assoc_long(&master, "pid", h->master_pid);
    add_assoc_zval(result, "master", &master);
    add_helper(result, h);
    array_init(&consul);
    add_assoc_string(&consul, "url", us->consul_url);
    add_assoc_string(&consul, "state", consul_state_name(h->consul_state));
    add_text(&consul, "error", &h->consul_error);
    add_assoc_zval(result, "consul", &consul);
    array_init(&pools);
    for (size_t i = 0; i < config->count; i++) {
        struct board_pool_info *info = board_info(board, i);
        if (info) {
            add_pool(&pools, &config->pools[i], info);
        }
    }
    add_assoc_zval(result, "pools", &pools);
}

void status_info(void)
{
    const struct fpm_config *config = master_config();
    const struct board *board = master_board();
    char text[BOARD_TEXT_BYTES], row[BOARD_TEXT_BYTES + 64];

    worker_join();
    php_info_print_table_start();
    php_info_print_table_row(2, "svcreg support", "enabled");
    php_info_print_table_row(2, "version", SVCREG_VERSION);
    if (!config || !svcreg_worker.forked) {
        php_info_print_table_row(2, "active", "no (only in PHP-FPM)");
        php_info_print_table_end();
        return;
    }
    struct board_header *h = board_header(board);
    php_info_print_table_row(2, "instance", master_identity()->instance);
    snprintf(row, sizeof row, "%" PRId32, (int32_t)h->helper_pid);
    php_info_print_table_row(2, "fpm-health", h->helper_pid ? row : "not running");
    board_text_get(&h->helper_error, text);
    php_info_print_table_row(2, "last error", *text ? text : "none");
    php_info_print_table_row(2, "Consul", consul_state_name(h->consul_state));
    for (size_t i = 0; i < config->count; i++) {
        struct board_pool_info *info = board_info(board, i);
        if (info) {
            board_text_get(&info->reason, text);
            snprintf(row, sizeof row, "%s%s%s", board_state_name(info->state), *text ? ": " : "", text);
            php_info_print_table_row(2, config->pools[i].name, row);
        }
    }
    php_info_print_table_end();
}
