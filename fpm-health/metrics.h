/* Prometheus text 0.0.4 and OpenMetrics of the whole instance. Pure. */
#ifndef FPM_HEALTH_METRICS_H
#define FPM_HEALTH_METRICS_H

#include "instance.h"
#include "writer.h"

void metrics_render(const struct instance *instance, bool openmetrics, int64_t now_ms, struct writer *w);

#endif
