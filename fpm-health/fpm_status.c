/* FPM's status page; see fpm_status.h. */
#include "fpm_status.h"

#include "cgi.h"

#include <jansson.h>
#include <string.h>

enum { STATUS_OK = 200 };

static bool number(const json_t *page, const char *key, json_int_t most, json_int_t *value)
{
    const json_t *item = json_object_get(page, key);
    *value = json_integer_value(item);
    return json_is_integer(item) && *value >= 0 && *value <= most;
}

bool fpm_status_parse(const char *answer, struct fpm_status *status)
{
    char line[8];
    const char *body = strstr(answer, "\r\n\r\n");
    if (!body || cgi_parse(answer, line, sizeof line) != STATUS_OK) {
        return false;
    }
    json_t *page = json_loads(body + 4, 0, NULL);
    json_int_t total, active, queue, queue_max, accepted, slow;
    bool fine = number(page, "total processes", UINT32_MAX, &total) &&
        number(page, "active processes", UINT32_MAX, &active) && number(page, "listen queue", UINT32_MAX, &queue) &&
        number(page, "listen queue len", UINT32_MAX, &queue_max) && number(page, "accepted conn", INT64_MAX, &accepted);
    bool slow_known = number(page, "slow requests", INT64_MAX, &slow);
    json_decref(page);
    if (fine) {
        *status = (struct fpm_status){(uint32_t)total, (uint32_t)active, (uint32_t)queue, (uint32_t)queue_max,
            (uint64_t)accepted, slow_known ? (uint64_t)slow : 0, slow_known};
    }
    return fine;
}
