/* The JSON of /status, `fpm-health status --json` and svcreg_status(). Pure. */
#ifndef FPM_HEALTH_STATUS_H
#define FPM_HEALTH_STATUS_H

#include "instance.h"
#include "writer.h"

void status_render(const struct instance *instance, int64_t now_ms, struct writer *w);

#endif
