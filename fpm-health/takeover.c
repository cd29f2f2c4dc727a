/* Taking over a configuration, the first one too: pools are carried on by name, everything else as far as it is the same. */
#define _GNU_SOURCE
#include "helper.h"

#include "log.h"
#include "scripts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the board remembers of the time before this helper: a pool that was served needs no new proof. */
static void resume_pool(struct helper *h, struct pool *p)
{
    const struct board_pool_info *info = board_info(&h->board, p->index);
    if (!info || p->since_s) {
        return;
    }
    uint32_t state = info->state;
    uint64_t since_s = info->since_s;
    if (state < BOARD_STATES && since_s && since_s <= (uint64_t)time(NULL)) {
        p->verdict.state = (enum board_state)state;
        p->since_s = (int64_t)since_s;
        board_text_get((struct board_text *)&info->reason, p->verdict.reason);
        p->history.served = p->history.listened = p->history.warm = state == BOARD_HEALTHY || state == BOARD_DEGRADED;
    }
}

static bool other_scripts(const struct pool_config *a, const struct pool_config *b)
{
    return strcmp(a->probe, b->probe) != 0 || strcmp(a->warmup, b->warmup) != 0;
}

/* The pool of that name from before, or a new one. NULL: out of memory. */
static struct pool *carry_on(struct helper *h, struct pool **old, size_t old_count, const struct pool_config *config)
{
    for (size_t i = 0; i < old_count; i++) {
        struct pool *p = old[i];
        if (p && strcmp(p->config->name, config->name) == 0) {
            old[i] = NULL;
            if (strcmp(p->config->listen, config->listen) != 0) { /* another socket: proven anew */
                p->history = (struct history){0};
                p->sample = (struct sample){0};
                p->seen_listening = false;
                sampler_release(h->sampler, p);
                scripts_forget(p);
            } else if (other_scripts(p->config, config)) { /* what the former said is no news of the pool any more */
                sampler_release(h->sampler, p);
                scripts_forget(p);
            }
            return p;
        }
    }
    return calloc(1, sizeof(struct pool));
}

static void release_pool(struct helper *h, struct pool *p)
{
    sampler_release(h->sampler, p);
    if (p->service) {
        consul_drop(h->consul, p->service);
    }
    free(p);
}

void helper_release_pools(struct helper *h)
{
    for (size_t i = 0; i < h->in.pool_count; i++) {
        free(h->in.pools[i]);
    }
    free(h->in.pools);
    h->in.pools = NULL;
    h->in.pool_count = 0;
}

static bool take_pools(struct helper *h, struct config *config)
{
    struct pool **old = h->in.pools;
    size_t old_count = h->in.pool_count;
    struct pool **fresh = calloc(config->pool_count + 1, sizeof(struct pool *));
    for (size_t i = 0; fresh && i < config->pool_count; i++) {
        fresh[i] = carry_on(h, old, old_count, &config->pools[i]);
        if (!fresh[i]) {
            /* some are in `fresh` by now, some still in `old`: left to the end of the process, which is near */
            free(fresh);
            h->in.pool_count = 0;
            return false;
        }
        fresh[i]->config = &config->pools[i];
        fresh[i]->index = i;
        fresh[i]->policy = (struct policy){
            .manual = strcmp(config->pools[i].ready, "manual") == 0,
            .warmup = config->pools[i].warmup[0] != '\0',
            .max_children = (uint32_t)config->pools[i].max_children,
            .hang_timeout_ms = config->hang_timeout_ms,
        };
    }
    if (!fresh) {
        return false;
    }
    h->in.pools = fresh;
    h->in.pool_count = config->pool_count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i]) {
            log_notice("pool %s: no longer configured", old[i]->config->name);
            release_pool(h, old[i]);
        }
    }
    free(old);
    return true;
}

static void want_services(struct helper *h)
{
    for (size_t i = 0; h->consul && i < h->in.pool_count; i++) {
        struct pool *p = h->in.pools[i];
        if (p->config->enabled) {
            consul_want(h->consul, p);
        } else if (p->service) {
            consul_drop(h->consul, p->service);
            p->service = NULL;
        }
    }
}

/* Says goodbye where we were registered; the one before that has had its time. */
static void retire_consul(struct helper *h)
{
    if (h->retired) {
        consul_destroy(h->retired);
    }
    h->retired = h->consul;
    h->consul = NULL;
    consul_retire(h->retired);
}

static void take_consul(struct helper *h, const struct config *old)
{
    if (h->consul && !config_same_place(old, h->in.config)) {
        retire_consul(h);
    } else if (h->consul && !config_same_connection(old, h->in.config)) {
        consul_destroy(h->consul);
        h->consul = NULL;
    }
    if (!h->consul && config_wants_consul(h->in.config)) {
        h->consul = consul_create(&h->loop, &h->in, helper_publish_consul, h);
        if (!h->consul) {
            helper_note_error(h, "consul: these settings can't be used, nothing is registered");
            log_error("%s", h->in.error);
        }
    }
}

bool helper_take_config(struct helper *h, struct config *config)
{
    struct config *old = h->in.config;
    enum log_level level = LOG_LEVEL_NOTICE;
    log_level_parse(config->log_level, &level);
    log_open(config->log, level);

    h->in.config = config;
    if (!take_pools(h, config)) {
        helper_yield(h, "out of memory");
        return false;
    }
    struct answers *answers = answers_create(&h->in, &h->consul);
    if (!answers) {
        helper_yield(h, "out of memory");
        return false;
    }
    answers_destroy(h->answers);
    h->answers = answers;
    for (size_t i = 0; helper_has_board(h) && i < h->in.pool_count; i++) {
        resume_pool(h, h->in.pools[i]);
        if (h->in.pools[i]->unremembered) {
            helper_remember_control(h, h->in.pools[i]);
        }
    }
    sampler_retarget(h->sampler); /* resolves the addresses that are registered next */
    take_consul(h, old);
    want_services(h);
    if (h->consul) {
        consul_reconfigure(h->consul);
    }
    if (helper_has_board(h)) {
        board_header(&h->board)->acked_generation = (uint32_t)config->generation;
    }
    config_destroy(old);
    return true;
}
