/* Reading the configuration anew: what is wrong with it, or out of reach by now, is refused, and the one before stays in force. */
#define _GNU_SOURCE
#include "helper.h"

#include "log.h"
#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Another binary than ours is to serve from now on. */
static bool is_other_binary(const struct config *c)
{
    struct stat own;
    return c->helper.ino && stat("/proc/self/exe", &own) == 0 &&
        ((int64_t)own.st_dev != c->helper.dev || (int64_t)own.st_ino != c->helper.ino ||
            own.st_mtime != c->helper.mtime);
}

static void listen_on(struct helper *h, enum listener_kind kind, const json_t *addresses, bool *refused)
{
    size_t i;
    json_t *item;
    json_array_foreach(addresses, i, item)
    {
        const char *address = json_string_value(item);
        char shown[sizeof h->in.health_address], error[BOARD_TEXT_BYTES];
        if (server_listen(h->server, kind, address, shown, sizeof shown) == -1) {
            *refused |= errno == EACCES;
            snprintf(error, sizeof error, "%.60s can't be listened on: %s", address, strerror(errno));
            helper_note_error(h, error);
            log_error("%s", error);
            continue;
        }
        if (strcmp(shown, address) != 0 && address[0] != ':' && address[0] != '*') {
            snprintf(error, sizeof error, "%.40s is taken, %.40s is used", address, shown);
            helper_note_error(h, error);
            log_warning("%s", error);
        }
        if (kind == LISTENER_HTTP && !h->in.health_address[0]) {
            snprintf(h->in.health_address, sizeof h->in.health_address, "%s", shown);
        }
    }
}

bool helper_open_listeners(struct helper *h, const struct config *config)
{
    bool refused = false;
    h->in.health_address[0] = '\0';
    server_unlisten(h->server, LISTENER_HTTP);
    server_unlisten(h->server, LISTENER_AGENT);
    listen_on(h, LISTENER_HTTP, config->health_listen, &refused);
    listen_on(h, LISTENER_AGENT, config->agent_listen, &refused);
    return !refused;
}

/* A board that a reload laid out anew may be larger than our mapping of it. */
static bool remap_board(struct helper *h)
{
    struct board fresh = {0};
    if (!helper_has_board(h)) {
        return true;
    }
    if (board_open(&fresh, h->board_fd) == -1) {
        if (errno == EPROTONOSUPPORT) {
            helper_yield(h, "the board is of another version");
        }
        return false;
    }
    board_close(&h->board);
    h->board = fresh;
    return true;
}

/* Once for each refused file, however often the doorbell rings. */
static void refuse(struct helper *h, const char *why)
{
    if (strcmp(h->refused, why) != 0) {
        snprintf(h->refused, sizeof h->refused, "%s", why);
        log_error("%s; the last good configuration stays in force", why);
        helper_note_error(h, why);
    }
}

/* What can't be changed any more without root, or without being someone else. */
static bool is_within_reach(struct helper *h, const struct config *config)
{
    const struct config *old = h->in.config;
    char why[CONFIG_ERROR_BYTES];
    if (strcmp(old->run_dir, config->run_dir) != 0) {
        snprintf(why, sizeof why, "%s: run_dir: can't change while the daemon runs", h->config_path);
    } else if (config_same_listeners(old, config) || helper_open_listeners(h, config)) {
        return true;
    } else {
        helper_open_listeners(h, old);
        snprintf(why, sizeof why, "%s: health_listen, agent_listen: need rights that were given up", h->config_path);
    }
    if (helper_has_board(h)) {
        helper_yield(h, why);
    } else {
        refuse(h, why);
    }
    return false;
}

void helper_reload(struct helper *h)
{
    char error[CONFIG_ERROR_BYTES];
    struct stat st;
    if (!h->config_path || !remap_board(h)) {
        return;
    }
    uint32_t wanted = helper_has_board(h) ? board_header(&h->board)->generation : 0;
    struct config *config = config_load(h->config_path, error);
    if (!config) {
        refuse(h, error);
        return;
    }
    if (helper_has_board(h) && (uint32_t)config->generation != wanted) { /* the next one is on its way and will ring */
        config_destroy(config);
        return;
    }
    if (is_other_binary(config)) {
        config_destroy(config);
        helper_yield(h, "another binary is configured");
        return;
    }
    helper_note_error(h, "");
    if (!is_within_reach(h, config)) {
        config_destroy(config);
        return;
    }
    h->config_inode = stat(h->config_path, &st) == 0 ? st.st_ino : 0;
    h->refused[0] = '\0';
    if (helper_take_config(h, config)) {
        log_notice("configuration %lld taken over", (long long)config->generation);
    }
}

/* A container that was started anew may have another address. */
static void look_up_again(struct helper *h)
{
    sampler_retarget(h->sampler);
    if (h->consul) {
        consul_reconfigure(h->consul);
    }
}

void helper_reload_asked(struct helper *h)
{
    notify_reloading();
    if (h->config_path) {
        h->refused[0] = '\0';
        helper_reload(h);
    } else {
        log_notice("SIGHUP: configured on the command line, no file to read again; hosts' names are looked up again");
        look_up_again(h);
    }
    notify_ready();
    notify_status(&h->in);
}
