/* Lines of the text formats, for the metrics*.c alone. */
#ifndef FPM_HEALTH_METRICS_LINES_H
#define FPM_HEALTH_METRICS_LINES_H

#include "instance.h"
#include "writer.h"

struct render {
    const struct instance *in;
    struct writer *w;
    bool openmetrics;
    int64_t now_ms;
};

/*
 * HELP and TYPE. OpenMetrics names a counter's family without `_total`, an info's without `_info`, and has other words:
 * "unknown" for "untyped", "info" where Prometheus has a gauge.
 */
void metrics_head(const struct render *r, const char *name, const char *type, const char *help);

/* `name{pool="…"`: the caller goes on with further labels or metrics_value(). */
void metrics_labels(const struct render *r, const char *name, const struct pool *pool);

/* `} value`, and the line's end. */
void metrics_value(const struct render *r, uint64_t value);

/* One value of one pool, or false where it is not known. */
typedef bool metrics_figure(const struct render *r, const struct pool *pool, uint64_t *value);

struct metrics_family {
    const char *name, *type, *help;
    metrics_figure *read;
};

/* Head and lines of families with one value a pool; `labels` is metrics_labels(), or calls it and goes on. */
void metrics_families(const struct render *r, const struct metrics_family *families, size_t count,
    void (*labels)(const struct render *r, const char *name, const struct pool *pool));

/* What both namespaces report. */
metrics_figure metrics_requests, metrics_queue;

/* The common exporter's figures, under its names. */
void metrics_fpm(const struct render *r);

#endif
