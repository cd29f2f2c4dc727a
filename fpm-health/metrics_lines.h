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

/* The common exporter's figures, under its names. */
void metrics_fpm(const struct render *r);

#endif
