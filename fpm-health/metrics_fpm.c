/*
 * phpfpm_*: names, labels and meanings as the common exporter (hipages/php-fpm_exporter) has them, for its dashboards.
 * What it takes from FPM's status page we mostly know without asking FPM; what only the page has is left out without one.
 */
#include "bounds.h"
#include "metrics_lines.h"

#include "sampler.h"

#include <string.h>

static bool up(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    bool fails = p->sample.ping == PING_BAD && p->sample.ping_failures >= PING_FAILURES;
    *value = p->history.served && p->verdict.state != BOARD_DOWN && !fails;
    return true;
}

static bool failures(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->ever.unanswered;
    return true;
}

static bool start_since(const struct render *r, const struct pool *p, uint64_t *value)
{
    int64_t now_s = r->in->started_s + (r->now_ms - r->in->started_ms) / 1000;
    (void)p;
    *value = now_s > r->in->master_started_s ? (uint64_t)(now_s - r->in->master_started_s) : 0;
    return r->in->master_started_s != 0;
}

bool metrics_requests(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.requests;
    return p->sample.requests_known;
}

bool metrics_queue(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.queue;
    return p->sample.queue_known;
}

static bool most_queued(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->ever.queue;
    return p->sample.queue_known;
}

static bool queue_size(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.queue_max;
    return p->sample.queue_known;
}

static bool idle(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.total > p->sample.active ? p->sample.total - p->sample.active : 0;
    return p->sample.workers_known;
}

static bool active(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.active;
    return p->sample.workers_known;
}

static bool total(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->sample.total;
    return p->sample.workers_known;
}

static bool most_active(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->ever.active;
    return p->sample.workers_known;
}

static bool limit_reached(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->ever.limit_reached;
    return p->sample.workers_known && p->config->max_children > 0;
}

static bool slow(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->ever.slow;
    return p->ever.slow_known;
}

/* Its counters lack `_total`, so their type stays unsaid. */
static const struct metrics_family figures[] = {
    {"phpfpm_up", "gauge", "Could the pool be reached.", up},
    {"phpfpm_scrape_failures", "untyped", "Pings and status pages that FPM left without a good answer.", failures},
    {"phpfpm_start_since", "untyped", "Seconds since FPM started.", start_since},
    {"phpfpm_accepted_connections", "untyped", "Requests accepted by the pool.", metrics_requests},
    {"phpfpm_listen_queue", "gauge", "Connections that wait to be accepted.", metrics_queue},
    {"phpfpm_max_listen_queue", "untyped", "The most connections that were seen waiting.", most_queued},
    {"phpfpm_listen_queue_length", "gauge", "Size of the queue of waiting connections.", queue_size},
    {"phpfpm_idle_processes", "gauge", "Idle workers.", idle},
    {"phpfpm_active_processes", "gauge", "Busy workers.", active},
    {"phpfpm_total_processes", "gauge", "Workers.", total},
    {"phpfpm_max_active_processes", "untyped", "The most workers that were seen busy.", most_active},
    {"phpfpm_max_children_reached", "untyped", "How often the pool came to have all workers that it may.",
        limit_reached},
    {"phpfpm_slow_requests", "untyped", "Requests that took longer than request_slowlog_timeout.", slow},
};

/* As the exporter writes the address that it asks. */
static void labels(const struct render *r, const char *name, const struct pool *p)
{
    const struct pool_config *c = p->config;
    bool is_path = c->listen[0] == '/';
    metrics_labels(r, name, p);
    writer_text(r->w, is_path ? ",scrape_uri=\"unix://" : ",scrape_uri=\"tcp://");
    writer_label(r->w, c->listen);
    writer_text(r->w, is_path && c->status_path[0] ? ";" : "");
    writer_label(r->w, c->status_path);
    writer_text(r->w, "\"");
}

/* How many workers all pools have on the board; each of them takes three lines. */
static size_t slots_of_all(const struct instance *in)
{
    size_t all = 0;
    for (size_t i = 0; i < in->pool_count; i++) {
        uint32_t slots = 0;
        all += board_pool(in->board, in->pools[i]->index, &slots) ? slots : 0;
    }
    return all;
}

static void child(const struct render *r, const char *name, const struct pool *p, uint32_t number)
{
    labels(r, name, p);
    writer_format(r->w, ",child=\"%u\"", number);
}

/* Each worker of the pool that is at work, by its place on the board. */
static void workers(const struct render *r, const struct pool *p, bool states)
{
    static const char *const words[] = {"Idle", "Running"};
    uint32_t slots = 0;
    struct board_pool *part = board_pool(r->in->board, p->index, &slots);
    struct board_slot *slot = part ? board_slots(part) : NULL;
    for (uint32_t i = 0; slot && i < slots; i++) {
        if (slot[i].pid == 0) {
            continue;
        }
        for (uint32_t word = 0; states && word < 2; word++) {
            child(r, "phpfpm_process_state", p, i);
            writer_format(r->w, ",state=\"%s\"", words[word]);
            metrics_value(r, (slot[i].busy != 0) == word);
        }
        if (!states) {
            child(r, "phpfpm_process_requests", p, i);
            metrics_value(r, slot[i].requests);
        }
    }
}

static void worker_family(const struct render *r, const char *name, const char *type, const char *help, bool states)
{
    metrics_head(r, name, type, help);
    for (size_t i = 0; i < r->in->pool_count; i++) {
        workers(r, r->in->pools[i], states);
    }
}

void metrics_fpm(const struct render *r)
{
    metrics_families(r, figures, sizeof figures / sizeof *figures, labels);
    if (r->in->board && sampler_board_fits(r->in, r->in->board) && slots_of_all(r->in) <= METRICS_WORKERS_MAX) {
        worker_family(r, "phpfpm_process_requests", "untyped", "Requests of one worker.", false);
        worker_family(r, "phpfpm_process_state", "gauge", "1 for the state that the worker is in.", true);
    }
}
