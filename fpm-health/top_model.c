/* From /status to sorted pools; see top_view.h. */
#include "top_view.h"

#include <stdlib.h>
#include <string.h>

static int64_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static struct top_pool read_pool(const json_t *json)
{
    const json_t *workers = json_object_get(json, "workers"), *queue = json_object_get(json, "queue");
    return (struct top_pool){
        .name = text(json, "name"),
        .state = text(json, "state"),
        .reason = text(json, "reason"),
        .active = number(workers, "active"),
        .total = number(workers, "total"),
        .max = number(workers, "max"),
        .queue = number(queue, "length"),
        .weight = number(json, "weight"),
        .requests = number(json, "requests"),
        .rate = -1,
        .registered = json_is_true(json_object_get(json, "registered")),
    };
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct top_pool *)a)->name, ((const struct top_pool *)b)->name);
}

bool top_take(struct top_snapshot *s, json_t *status, int64_t now_ms)
{
    json_t *pools = json_object_get(status, "pools"), *pool;
    size_t i;
    *s = (struct top_snapshot){
        .status = status, .pools = calloc(json_array_size(pools) + 1, sizeof *s->pools), .taken_ms = now_ms};
    if (!s->pools) {
        top_drop(s);
        return false;
    }
    json_array_foreach(pools, i, pool)
    {
        s->pools[s->count++] = read_pool(pool);
    }
    qsort(s->pools, s->count, sizeof *s->pools, by_name);
    return true;
}

void top_drop(struct top_snapshot *s)
{
    json_decref(s->status);
    free(s->pools);
    *s = (struct top_snapshot){0};
}

void top_rate(struct top_snapshot *s, const struct top_snapshot *before)
{
    double seconds = (double)(s->taken_ms - before->taken_ms) / 1000;
    for (size_t i = 0; before->count && seconds > 0 && i < s->count; i++) {
        struct top_pool *p = &s->pools[i];
        const struct top_pool *was = bsearch(p, before->pools, before->count, sizeof *p, by_name);
        if (was && was->requests >= 0) { /* a count that is less, or not known by now, makes it negative: not known */
            p->rate = (double)(p->requests - was->requests) / seconds;
        }
    }
}

const char *const top_states[TOP_STATES] = {"down", "degraded", "starting", "draining", "maintenance", "healthy"};

static int urgency(const char *state)
{
    int i = 0;
    while (i < TOP_STATES && strcmp(state, top_states[i]) != 0) {
        i++;
    }
    return i;
}

static int by_need(const void *a, const void *b)
{
    const struct top_pool *x = *(const struct top_pool *const *)a, *y = *(const struct top_pool *const *)b;
    int order = urgency(x->state) - urgency(y->state);
    if (order == 0) {
        order = (x->queue < y->queue) - (x->queue > y->queue);
    }
    if (order == 0) { /* the larger share of busy workers, without a division by zero */
        int64_t left = x->active * y->total, right = y->active * x->total;
        order = (left < right) - (left > right);
    }
    return order ? order : strcmp(x->name, y->name);
}

const struct top_pool **top_sort(const struct top_snapshot *s)
{
    const struct top_pool **order = calloc(s->count + 1, sizeof *order);
    for (size_t i = 0; order && i < s->count; i++) {
        order[i] = &s->pools[i];
    }
    if (order) {
        qsort(order, s->count, sizeof *order, by_need);
    }
    return order;
}
