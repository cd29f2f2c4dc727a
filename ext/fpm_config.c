#include "php_svcreg.h"
#include "fpm_config.h"
#include "say.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build-defs.h"
#include "zend_ini_scanner.h"

enum {
    MAX_DEPTH = 5,     /* files inside each other, FPM's own limit */
    LINE_BYTES = 1024, /* FPM hands a longer line to the parser in pieces of this size */
};

static const char *const setting_names[FPM_SETTINGS] = {
    [FPM_SET_ENABLED] = "enabled",
    [FPM_SET_SERVICE] = "service",
    [FPM_SET_TAGS] = "tags",
    [FPM_SET_META] = "meta",
    [FPM_SET_ADDRESS] = "address",
    [FPM_SET_WEIGHT] = "weight",
    [FPM_SET_READY] = "ready",
    [FPM_SET_WARMUP] = "warmup",
    [FPM_SET_PROBE] = "probe",
};

/* One reading; `current` is the open pool section's index, -1 in [global]. */
struct reader {
    struct fpm_config *config;
    const char *prefix;
    HashTable sections; /* the pools' names in lower case -> index */
    ssize_t current;
    size_t room;
    int depth;
    char *include; /* the line's include=, followed after the line as FPM does */
    bool failed;
};

static void fail(struct reader *r, const char *what, const char *detail)
{
    if (!r->failed) {
        r->failed = true;
        snprintf(r->config->error, sizeof r->config->error, "%s%s%s", what, detail ? ": " : "", detail ? detail : "");
    }
}

static void set_text(char **target, const char *value)
{
    free(*target);
    *target = strdup(value);
}

/* FPM's rule for a relative path: below the pool's prefix, else -p's, else the compiled-in one. */
static char *full_path(const struct reader *r, const char *pool_prefix, const char *path)
{
    char *full = NULL;
    if (*path == '/') {
        return strdup(path);
    }
    const char *prefix = pool_prefix ? pool_prefix : r->prefix ? r->prefix : PHP_PREFIX;
    return asprintf(&full, "%s/%s", prefix, path) == -1 ? NULL : full;
}

/* `value` with each "$pool" replaced. Caller frees. */
static char *expand_pool(const char *value, const char *pool)
{
    size_t n = strlen(value), occurrences = 0;
    for (const char *p = value; (p = strstr(p, "$pool")); p += 5) {
        occurrences++;
    }
    char *out = malloc(n + occurrences * strlen(pool) + 1), *to = out;
    while (out && *value) {
        if (strncmp(value, "$pool", 5) == 0) {
            to = stpcpy(to, pool);
            value += 5;
        } else {
            *to++ = *value++;
        }
    }
    if (out) {
        *to = '\0';
    }
    return out;
}

static void add_section(struct reader *r, const char *name, zend_string *key)
{
    struct fpm_config *c = r->config;
    zval index;
    if (c->count == r->room) {
        size_t room = r->room ? r->room * 2 : 8;
        struct fpm_pool *pools = realloc(c->pools, room * sizeof *pools);
        if (!pools) {
            fail(r, "no memory", NULL);
            return;
        }
        c->pools = pools;
        r->room = room;
    }
    c->pools[c->count] = (struct fpm_pool){.name = strdup(name)};
    r->current = (ssize_t)c->count++;
    ZVAL_LONG(&index, r->current);
    zend_hash_add_new(&r->sections, key, &index);
}

static void open_section(struct reader *r, zend_string *name)
{
    if (zend_string_equals_literal_ci(name, "global")) {
        r->current = -1;
        return;
    }
    zend_string *key = zend_string_tolower(name);
    const zval *known = zend_hash_find(&r->sections, key); /* a section may be opened again */
    if (known) {
        r->current = (ssize_t)Z_LVAL_P(known);
    } else {
        add_section(r, ZSTR_VAL(name), key);
    }
    zend_string_release(key);
}

/* FPM's times: a number with s, m, h or d behind it, or none. */
static uint32_t seconds(const char *value)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    unsigned long factor = *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 1;
    return n > UINT32_MAX / factor ? UINT32_MAX : (uint32_t)(n * factor);
}

static void global_entry(struct reader *r, const char *name, const char *value)
{
    if (strcasecmp(name, "daemonize") == 0) {
        r->config->daemonize = strcmp(value, "1") == 0;
    } else if (strcasecmp(name, "process_control_timeout") == 0) {
        r->config->process_control_timeout_s = seconds(value);
    }
}

static void pool_entry(struct fpm_pool *pool, const char *name, const char *value)
{
    const struct {
        const char *name;
        char **target;
    } texts[] = {
        {"listen", &pool->listen},
        {"pm", &pool->pm},
        {"prefix", &pool->prefix},
        {"pm.status_path", &pool->status_path},
        {"pm.status_listen", &pool->status_listen},
        {"listen.group", &pool->listen_group},
        {"listen.allowed_clients", &pool->allowed_clients},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcasecmp(name, texts[i].name) == 0) {
            free(*texts[i].target);
            *texts[i].target = expand_pool(value, pool->name);
            return;
        }
    }
    if (strcasecmp(name, "pm.max_children") == 0) {
        pool->max_children = (uint32_t)strtoul(value, NULL, 10);
    }
}

static void entry(struct reader *r, const char *name, const char *value)
{
    if (strcmp(name, "include") == 0) {
        set_text(&r->include, value);
    } else if (r->current < 0) {
        global_entry(r, name, value);
    } else {
        pool_entry(&r->config->pools[r->current], name, value);
    }
}

/* php_admin_value[svcreg.KEY] and its three sisters; FPM itself refuses any other array but env[]. */
static void array_entry(struct reader *r, const char *array, const char *key, const char *value)
{
    if (r->current < 0 || strncmp(array, "php_", 4) != 0 || strncasecmp(key, "svcreg.", 7) != 0) {
        return;
    }
    struct fpm_pool *pool = &r->config->pools[r->current];
    for (int i = 0; i < FPM_SETTINGS; i++) {
        if (strcasecmp(key + 7, setting_names[i]) == 0) {
            free(pool->settings[i]);
            pool->settings[i] = expand_pool(value, pool->name);
            return;
        }
    }
    say_warning("pool %s: %s can't be set for one pool; it is ignored", pool->name, key);
}

static void on_token(zval *arg1, zval *arg2, zval *arg3, int kind, void *data)
{
    struct reader *r = data;
    if (!arg1 || Z_TYPE_P(arg1) != IS_STRING || r->failed) {
        return;
    }
    const char *value = arg2 && Z_TYPE_P(arg2) == IS_STRING ? Z_STRVAL_P(arg2) : "";
    switch (kind) {
    case ZEND_INI_PARSER_SECTION: open_section(r, Z_STR_P(arg1)); break;
    case ZEND_INI_PARSER_ENTRY: entry(r, Z_STRVAL_P(arg1), value); break;
    case ZEND_INI_PARSER_POP_ENTRY:
        if (arg3 && Z_TYPE_P(arg3) == IS_STRING) {
            array_entry(r, Z_STRVAL_P(arg1), Z_STRVAL_P(arg3), value);
        }
        break;
    default: fail(r, "unknown syntax", NULL);
    }
}

static void read_file(struct reader *r, const char *path);

static void follow_include(struct reader *r)
{
    char *pattern = full_path(r, NULL, r->include);
    free(r->include);
    r->include = NULL;
    glob_t found = {0};
    int rc = pattern ? glob(pattern, GLOB_ERR | GLOB_MARK, NULL, &found) : GLOB_NOSPACE;
    if (rc != 0 && rc != GLOB_NOMATCH) {
        fail(r, "cannot read the include", pattern);
    }
    for (size_t i = 0; rc == 0 && i < found.gl_pathc && !r->failed; i++) {
        size_t n = strlen(found.gl_pathv[i]);
        if (n && found.gl_pathv[i][n - 1] != '/') {
            read_file(r, found.gl_pathv[i]);
        }
    }
    globfree(&found);
    free(pattern);
}

/* Fills `line` with the next piece that FPM would give the parser. False at the end of the file. */
static bool next_piece(FILE *file, char line[static LINE_BYTES + 2])
{
    int c = EOF;
    size_t n = 0;
    while (n < LINE_BYTES && (c = getc_unlocked(file)) != EOF && c != '\n') {
        line[n++] = (char)c;
    }
    line[n] = '\n';
    line[n + 1] = '\0';
    return n > 0 || c != EOF;
}

static void read_file(struct reader *r, const char *path)
{
    char line[LINE_BYTES + 2];
    FILE *file = r->depth < MAX_DEPTH ? fopen(path, "re") : NULL;
    if (!file) {
        fail(r, r->depth < MAX_DEPTH ? "cannot open" : "files included too deep", path);
        return;
    }
    r->depth++;
    while (!r->failed && next_piece(file, line)) {
        if (zend_parse_ini_string(line, 1, ZEND_INI_SCANNER_NORMAL, on_token, r) == FAILURE) {
            fail(r, "cannot parse", path);
        }
        if (r->include && !r->failed) {
            follow_include(r);
        }
    }
    r->depth--;
    fclose(file);
}

/* Brings an address into the forms that struct fpm_pool names. */
static char *canonical_listen(const struct reader *r, const char *pool_prefix, const char *listen)
{
    char *out = NULL;
    if (listen[strspn(listen, "0123456789")] == '\0') {
        return asprintf(&out, "*:%s", listen) == -1 ? NULL : out;
    }
    if (strchr(listen, ':')) {
        return strdup(listen);
    }
    return full_path(r, pool_prefix, listen);
}

static void finish_pool(struct reader *r, struct fpm_pool *pool)
{
    if (pool->prefix && *pool->prefix) {
        char *full = full_path(r, NULL, pool->prefix);
        free(pool->prefix);
        pool->prefix = full;
    }
    char **addresses[] = {&pool->listen, &pool->status_listen};
    for (int i = 0; i < 2; i++) {
        if (*addresses[i] && **addresses[i]) {
            char *canonical = canonical_listen(r, pool->prefix, *addresses[i]);
            free(*addresses[i]);
            *addresses[i] = canonical;
        }
    }
}

int fpm_config_read(struct fpm_config *config, const char *path, const char *prefix)
{
    struct reader r = {.config = config, .prefix = prefix, .current = -1};
    *config = (struct fpm_config){.path = strdup(path), .daemonize = true};
    zend_hash_init(&r.sections, 8, NULL, NULL, 0);
    read_file(&r, path);
    zend_hash_destroy(&r.sections);
    free(r.include);
    for (size_t i = 0; i < config->count && !r.failed; i++) {
        finish_pool(&r, &config->pools[i]);
        if (!config->pools[i].listen || !*config->pools[i].listen) {
            fail(&r, "no listen in pool", config->pools[i].name);
        }
    }
    if (!r.failed && config->count == 0) {
        fail(&r, "no pool in", path);
    }
    return r.failed ? -1 : 0;
}

void fpm_config_free(struct fpm_config *config)
{
    for (size_t i = 0; i < config->count; i++) {
        struct fpm_pool *p = &config->pools[i];
        char *texts[] = {p->name, p->listen, p->pm, p->prefix, p->status_path, p->status_listen, p->service,
            p->listen_group, p->allowed_clients};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            free(texts[t]);
        }
        for (int s = 0; s < FPM_SETTINGS; s++) {
            free(p->settings[s]);
        }
    }
    free(config->pools);
    free(config->path);
    *config = (struct fpm_config){0};
}
