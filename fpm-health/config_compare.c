/* What two configurations have in common; see config.h. */
#include "config.h"

#include <string.h>

static bool same_json(const json_t *a, const json_t *b)
{
    return a == b || (a && b && json_equal(a, b));
}

bool config_same_place(const struct config *a, const struct config *b)
{
    const struct consul_config *x = &a->consul, *y = &b->consul;
    return strcmp(a->node, b->node) == 0 && strcmp(a->instance, b->instance) == 0 && strcmp(x->url, y->url) == 0 &&
        strcmp(x->namespace, y->namespace) == 0 && strcmp(x->partition, y->partition) == 0;
}

bool config_same_connection(const struct config *a, const struct config *b)
{
    return config_same_place(a, b) &&
        same_json(json_object_get(a->document, "consul"), json_object_get(b->document, "consul"));
}

bool config_same_listeners(const struct config *a, const struct config *b)
{
    return same_json(a->health_listen, b->health_listen) && same_json(a->agent_listen, b->agent_listen);
}
