/* Paths and their rendered answers; see answers.h. */
#define _GNU_SOURCE
#include "answers.h"

#include "render.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[KINDS] = {"health", "ready", "consul", "haproxy", "f5", "agent", "live", "ready",
    "health", "root", "root", "metrics", "metrics", "status", "trend", "unknown", "error"};

static const int codes[PROBE_CODES] = {200, 404, 429, 503, 400, 405};

/* An answer where a path leads to it. */
struct entry {
    struct slot slot;
    char *path; /* decoded; NULL: not reached by a path */
    size_t path_length;
};

struct answers {
    struct instance *in;
    struct view view;
    struct entry *entries; /* those of all, then DIALECT_POOL_COUNT a pool */
    size_t entry_count;
    uint32_t *table; /* open addressing; index + 1, 0: free */
    size_t mask;
};

enum { COMMON_SLOTS = KINDS - DIALECT_POOL_COUNT };

static const char *const common_paths[COMMON_SLOTS] = {
    "/live", "/ready", "/health", NULL, "/", "/metrics", NULL, "/status", NULL, NULL, NULL};

static const char trend_prefix[] = "/trend/";

static uint32_t hash(const char *path, size_t length)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++) {
        h = (h ^ (unsigned char)path[i]) * 16777619u;
    }
    return h;
}

static void enter(struct answers *a, size_t index)
{
    const struct entry *e = &a->entries[index];
    size_t at = hash(e->path, e->path_length) & a->mask;
    while (a->table[at]) {
        at = (at + 1) & a->mask;
    }
    a->table[at] = (uint32_t)index + 1;
}

static bool name_entry(struct entry *e, const char *prefix, const char *name)
{
    size_t n = strlen(prefix), m = strlen(name);
    e->path = malloc(n + m + 1);
    if (!e->path) {
        return false;
    }
    memcpy(e->path, prefix, n);
    memcpy(e->path + n, name, m + 1);
    e->path_length = n + m;
    return true;
}

struct answers *answers_create(struct instance *in, struct consul **consul)
{
    static const char *const prefixes[DIALECT_POOL_COUNT] = {
        "/health/", "/ready/", "/consul/", "/haproxy/", "/f5/", NULL};
    struct answers *a = calloc(1, sizeof *a);
    if (!a) {
        return NULL;
    }
    a->in = in;
    a->view = (struct view){.in = in, .consul = consul};
    a->entry_count = COMMON_SLOTS + in->pool_count * DIALECT_POOL_COUNT;
    a->mask = 63;
    while (a->mask < a->entry_count * 2) {
        a->mask = a->mask * 2 + 1;
    }
    a->entries = calloc(a->entry_count, sizeof *a->entries);
    a->table = calloc(a->mask + 1, sizeof *a->table);
    bool fine = a->entries && a->table;
    for (size_t i = 0; fine && i < a->entry_count; i++) {
        struct entry *e = &a->entries[i];
        size_t in_pool = i - COMMON_SLOTS;
        e->slot.stale = true;
        if (i < COMMON_SLOTS) {
            e->slot.kind = (enum kind)(DIALECT_POOL_COUNT + i);
            fine = !common_paths[i] || name_entry(e, common_paths[i], "");
        } else {
            e->slot.kind = (enum kind)(in_pool % DIALECT_POOL_COUNT);
            e->slot.pool = in->pools[in_pool / DIALECT_POOL_COUNT];
            fine = !prefixes[e->slot.kind] || name_entry(e, prefixes[e->slot.kind], e->slot.pool->config->name);
        }
        if (fine && e->path) {
            enter(a, i);
        }
    }
    if (!fine) {
        answers_destroy(a);
        return NULL;
    }
    return a;
}

void answers_destroy(struct answers *a)
{
    for (size_t i = 0; a && a->entries && i < a->entry_count; i++) {
        free(a->entries[i].path);
        free(a->entries[i].slot.room);
    }
    if (a) {
        free(a->entries);
        free(a->table);
        free(a);
    }
}

static struct slot *common(struct answers *a, enum kind kind)
{
    return &a->entries[kind - DIALECT_POOL_COUNT].slot;
}

int answers_code(int code)
{
    return codes[code];
}

static size_t code_index(int status)
{
    for (size_t i = 0; i < PROBE_CODES; i++) {
        if (codes[i] == status) {
            return i;
        }
    }
    return 4; /* every other refusal is a kind of 400 */
}

const char *answers_dialect_name(int dialect)
{
    return dialect < KINDS ? kind_names[dialect] : NULL;
}

static struct answer give(struct answers *a, struct slot *s)
{
    if (s->stale) {
        render(&a->view, s);
    }
    bool of_pool = s->kind < (enum kind)DIALECT_POOL_COUNT;
    enum board_state state = of_pool ? s->pool->verdict.state : BOARD_HEALTHY;
    bool tells = of_pool || s->kind == KIND_READY_ALL || s->kind == KIND_HEALTH_ALL || s->kind == KIND_ROOT ||
        s->kind == KIND_PAGE;
    return (struct answer){
        .bytes = s->bytes,
        .length = s->length,
        .head_length = s->head_length,
        .count = &a->in->probes[s->kind][code_index(s->status)],
        .question = (uintptr_t)s->pool + s->kind,
        .tells = tells,
        .drains = of_pool ? state != BOARD_HEALTHY && state != BOARD_DEGRADED : s->status != 200,
    };
}

static struct slot *find(struct answers *a, const char *path, size_t length)
{
    for (size_t at = hash(path, length) & a->mask; a->table[at]; at = (at + 1) & a->mask) {
        struct entry *e = &a->entries[a->table[at] - 1];
        if (e->path_length == length && memcmp(e->path, path, length) == 0) {
            return &e->slot;
        }
    }
    size_t n = sizeof trend_prefix - 1;
    struct pool *p =
        length > n && memcmp(path, trend_prefix, n) == 0 ? instance_pool(a->in, path + n, length - n) : NULL;
    struct slot *trend = common(a, KIND_TREND);
    trend->pool = p;
    trend->stale = true; /* one slot for all pools: people ask seldom */
    return p ? trend : NULL;
}

struct answer answers_find(struct answers *a, const struct http_request *r, int64_t now_ms)
{
    char decoded[1024];
    a->view.now_ms = now_ms;
    struct slot *s = find(a, r->path, r->path_length);
    if (!s && memchr(r->path, '%', r->path_length)) {
        ssize_t n = http_decode(r->path, r->path_length, decoded, sizeof decoded);
        s = n > 0 ? find(a, decoded, (size_t)n) : NULL;
    }
    if (!s) {
        s = common(a, r->path_length == 1 && *r->path == '*' ? KIND_ROOT : KIND_NOT_FOUND);
    } else if (s->kind == KIND_METRICS && r->openmetrics) {
        s = common(a, KIND_OPENMETRICS);
    } else if (s->kind == KIND_PAGE && r->method == HTTP_OPTIONS) { /* no person asks like that: a prober does, often */
        s = common(a, KIND_ROOT);
    }
    return give(a, s);
}

struct answer answers_agent(struct answers *a, const char *name, size_t length)
{
    static const char unknown[] = "fail #unknown pool\n", none[] = "down #no pools\n";
    const struct pool *p = length ? instance_pool(a->in, name, length) : instance_worst(a->in);
    if (!p) {
        const char *text = length ? unknown : none;
        return (struct answer){
            .bytes = text, .length = strlen(text), .count = &a->in->probes[DIALECT_AGENT][code_index(404)]};
    }
    return give(a, &a->entries[COMMON_SLOTS + p->index * DIALECT_POOL_COUNT + DIALECT_AGENT].slot);
}

bool answers_single_pool(const struct answers *a)
{
    return a->in->pool_count == 1;
}

struct answer answers_error(struct answers *a, int status)
{
    struct slot *s = common(a, KIND_ERROR);
    s->stale |= s->status != status;
    s->status = status;
    return give(a, s);
}

void answers_pool_changed(struct answers *a, const struct pool *p)
{
    for (size_t i = 0; i < DIALECT_POOL_COUNT; i++) {
        a->entries[COMMON_SLOTS + p->index * DIALECT_POOL_COUNT + i].slot.stale = true;
    }
    for (size_t i = 0; i < COMMON_SLOTS; i++) {
        a->entries[i].slot.stale = true;
    }
}

void answers_sampled(struct answers *a)
{
    common(a, KIND_METRICS)->stale = common(a, KIND_OPENMETRICS)->stale = common(a, KIND_STATUS)->stale = true;
}
