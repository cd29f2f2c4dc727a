/* Questions about the instance as a whole; see instance.h. */
#include "instance.h"

#include <string.h>

struct pool *instance_pool(const struct instance *in, const char *name, size_t length)
{
    for (size_t i = 0; i < in->pool_count; i++) {
        const char *own = in->pools[i]->config->name;
        if (strlen(own) == length && memcmp(own, name, length) == 0) {
            return in->pools[i];
        }
    }
    return NULL;
}

bool instance_ready(const struct instance *in)
{
    for (size_t i = 0; i < in->pool_count; i++) {
        enum board_state state = in->pools[i]->verdict.state;
        if (state == BOARD_HEALTHY || state == BOARD_DEGRADED) {
            return true;
        }
    }
    return false;
}

bool instance_live(const struct instance *in)
{
    if (in->master_gone) {
        return false;
    }
    for (size_t i = 0; i < in->pool_count; i++) {
        if (in->pools[i]->verdict.state != BOARD_DOWN) {
            return true;
        }
    }
    return in->pool_count == 0;
}

const struct pool *instance_worst(const struct instance *in)
{
    const struct pool *worst = NULL;
    for (size_t i = 0; i < in->pool_count; i++) {
        if (!worst || verdict_badness(in->pools[i]->verdict.state) > verdict_badness(worst->verdict.state)) {
            worst = in->pools[i];
        }
    }
    return worst;
}

int64_t instance_busy_ms(const struct instance *in)
{
    int64_t last_ms = 0;
    for (size_t i = 0; i < in->pool_count; i++) {
        last_ms = in->pools[i]->busy_ms > last_ms ? in->pools[i]->busy_ms : last_ms;
    }
    return last_ms;
}
