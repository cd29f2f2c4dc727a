/* svcreg_*, and the formats; see metrics.h. */
#include "metrics.h"

#include "answers.h"
#include "consul.h"
#include "metrics_lines.h"

#include <stdio.h>
#include <string.h>

void metrics_head(const struct render *r, const char *name, const char *type, const char *help)
{
    bool counter = strcmp(type, "counter") == 0, info = strcmp(type, "info") == 0;
    const char *suffix = r->openmetrics ? "" : counter ? "_total" : info ? "_info" : "";
    if (strcmp(type, "untyped") == 0 && r->openmetrics) {
        type = "unknown";
    } else if (info && !r->openmetrics) {
        type = "gauge";
    }
    writer_format(r->w, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

void metrics_labels(const struct render *r, const char *name, const struct pool *p)
{
    writer_text(r->w, name);
    writer_text(r->w, "{pool=\"");
    writer_label(r->w, p->config->name);
    writer_text(r->w, "\"");
}

void metrics_value(const struct render *r, uint64_t value)
{
    writer_text(r->w, "} ");
    writer_number(r->w, value);
    writer_text(r->w, "\n");
}

void metrics_families(const struct render *r, const struct metrics_family *all, size_t count,
    void (*labels)(const struct render *r, const char *name, const struct pool *pool))
{
    for (size_t i = 0; i < count; i++) {
        const struct metrics_family *f = &all[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s", f->name, strcmp(f->type, "counter") == 0 ? "_total" : "");
        metrics_head(r, f->name, f->type, f->help);
        for (size_t p = 0; p < r->in->pool_count; p++) {
            uint64_t value;
            if (f->read(r, r->in->pools[p], &value)) {
                labels(r, name, r->in->pools[p]);
                metrics_value(r, value);
            }
        }
    }
}

static void states(const struct render *r)
{
    metrics_head(r, "svcreg_state", "gauge", "1 for the state that the pool is in.");
    for (size_t i = 0; i < r->in->pool_count; i++) {
        size_t from = r->w->length;
        metrics_labels(r, "svcreg_state", r->in->pools[i]);
        writer_text(r->w, ",state=\"");
        size_t n = r->w->length - from;
        for (uint32_t s = 0; s < BOARD_STATES; s++) {
            if (s > 0) {
                writer_again(r->w, from, n);
            }
            writer_text(r->w, board_state_name(s));
            writer_text(r->w, "\"");
            metrics_value(r, r->in->pools[i]->verdict.state == s);
        }
    }
}

static bool weight(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->verdict.weight;
    return true;
}

static bool registered(const struct render *r, const struct pool *p, uint64_t *value)
{
    (void)r;
    *value = p->service && consul_registered(p->service);
    return p->service != NULL;
}

static const struct metrics_family families[] = {
    {"svcreg_weight", "gauge", "Weight of the pool, 0 to 100.", weight},
    {"svcreg_registered", "gauge", "1 while Consul has acknowledged the registration.", registered},
    {"svcreg_listen_queue", "gauge", "Connections that wait to be accepted, as the kernel counts them.", metrics_queue},
    {"svcreg_requests", "counter", "Requests started.", metrics_requests},
};

static void transitions(const struct render *r)
{
    metrics_head(r, "svcreg_transitions", "counter", "Changes of state.");
    for (size_t i = 0; i < r->in->pool_count; i++) {
        const struct pool *p = r->in->pools[i];
        for (uint32_t from = 0; from < BOARD_STATES; from++) {
            for (uint32_t to = 0; to < BOARD_STATES; to++) {
                if (p->transitions[from][to]) {
                    metrics_labels(r, "svcreg_transitions_total", p);
                    writer_format(r->w, ",from=\"%s\",to=\"%s\"", board_state_name(from), board_state_name(to));
                    metrics_value(r, p->transitions[from][to]);
                }
            }
        }
    }
}

/* Several kinds of answer share a dialect's name: their counts are added up. */
static void probes(const struct render *r)
{
    metrics_head(r, "svcreg_probes", "counter", "Answers given, by dialect and HTTP status.");
    for (int d = 0; d < PROBE_DIALECTS && answers_dialect_name(d); d++) {
        bool first = true;
        for (int e = 0; e < d; e++) {
            first &= strcmp(answers_dialect_name(d), answers_dialect_name(e)) != 0;
        }
        for (int c = 0; first && c < PROBE_CODES; c++) {
            uint64_t sum = 0;
            for (int e = d; e < PROBE_DIALECTS && answers_dialect_name(e); e++) {
                sum += strcmp(answers_dialect_name(d), answers_dialect_name(e)) == 0 ? r->in->probes[e][c] : 0;
            }
            if (sum) {
                writer_format(r->w, "svcreg_probes_total{dialect=\"%s\",code=\"%d\"} %llu\n", answers_dialect_name(d),
                    answers_code(c), (unsigned long long)sum);
            }
        }
    }
}

void metrics_render(const struct instance *in, bool openmetrics, int64_t now_ms, struct writer *w)
{
    struct render r = {in, w, openmetrics, now_ms};
    states(&r);
    metrics_families(&r, families, sizeof families / sizeof *families, metrics_labels);
    metrics_fpm(&r);
    transitions(&r);
    probes(&r);
    metrics_head(&r, "svcreg_sample_age_seconds", "gauge", "Age of what the other figures were taken from.");
    writer_format(w, "svcreg_sample_age_seconds %.3f\n", (double)(now_ms - in->sampled_ms) / 1000);
    metrics_head(&r, "svcreg_start_time_seconds", "gauge", "Unix time when fpm-health started.");
    writer_format(w, "svcreg_start_time_seconds %lld\n", (long long)in->started_s);
    metrics_head(&r, "svcreg_build", "info", "Version of fpm-health.");
    writer_format(w, "svcreg_build_info{version=\"" SVCREG_VERSION "\"} 1\n");
    if (in->consul_state != BOARD_CONSUL_OFF) {
        metrics_head(&r, "svcreg_consul_up", "gauge", "1 while Consul answers.");
        writer_format(w, "svcreg_consul_up %d\n", in->consul_state == BOARD_CONSUL_OK);
    }
}
