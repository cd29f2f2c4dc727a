/* FPM's JSON status page, without trust. */
#ifndef FPM_HEALTH_FPM_STATUS_H
#define FPM_HEALTH_FPM_STATUS_H

#include <stdbool.h>
#include <stdint.h>

struct fpm_status {
    uint32_t total, active, queue, queue_max;
    uint64_t accepted, slow;
    bool slow_known;
};

/* `answer`: CGI headers, an empty line, the body. Returns false where it is no such page (a 500, another script's output). */
bool fpm_status_parse(const char *answer, struct fpm_status *status);

#endif
