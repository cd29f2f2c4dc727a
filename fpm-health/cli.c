/* Commands that speak to a running helper; see cli.h. Nagios has an exit code of its own for "unknown": 3. */
#define _GNU_SOURCE
#include "cli.h"

#include "ask.h"
#include "cli_request.h"
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { NAGIOS_UNKNOWN = 3, DRAIN_POLL_MS = 50 };

/* `verb`, and `/POOL` where one is named. False when it does not fit. */
static bool verb_path(char path[static CLI_PATH_BYTES], const char *verb, const char *pool, const char *query)
{
    char *escaped = client_escape(pool ? pool : "");
    int n = snprintf(path, CLI_PATH_BYTES, "%s%s%s%s", verb, pool ? "/" : "", escaped ? escaped : "", query);
    client_free(escaped);
    return escaped && n < CLI_PATH_BYTES;
}

static int check_live(const struct cli_request *r)
{
    char *body;
    int status = ask(r->socket, "GET", "/live", &body);
    fputs(status == -1 ? "no answer\n" : body, stdout);
    free(body);
    return status == 200 ? 0 : 1;
}

static int check_pool(const struct cli_request *r)
{
    static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
    char path[CLI_PATH_BYTES], *body = NULL;
    int status =
        verb_path(path, "/check", r->word_count ? r->words[0] : NULL, "") ? ask(r->socket, "GET", path, &body) : -1;
    int code = NAGIOS_UNKNOWN;
    for (int i = 0; status == 200 && i < NAGIOS_UNKNOWN; i++) {
        code = strncmp(body, words[i], strlen(words[i])) == 0 ? i : code;
    }
    if (body) {
        fputs(body, stdout);
    } else {
        printf("UNKNOWN - %s\n", strerror(errno));
    }
    free(body);
    return code;
}

int cli_check(int argc, char **argv)
{
    struct cli_request r;
    int result = cli_prepare(&r, argc, argv, CLI_LIVE, 0, 1);
    if (result) {
        return r.live ? 1 : (puts("UNKNOWN - no helper, or wrong usage"), NAGIOS_UNKNOWN);
    }
    return r.live ? check_live(&r) : check_pool(&r);
}

static long integer(const json_t *object, const char *a, const char *b)
{
    return (long)json_integer_value(json_object_get(json_object_get(object, a), b));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void print_status(const json_t *status)
{
    const json_t *consul = json_object_get(status, "consul");
    const char *consul_error = text(consul, "error"), *error = text(json_object_get(status, "helper"), "error");
    printf("%s on %s, fpm-health %s\n", text(status, "instance"), text(status, "node"), text(status, "version"));
    printf("consul  %s: %s%s%s\n", text(consul, "url"), text(consul, "state"), *consul_error ? ": " : "", consul_error);
    if (*error) {
        printf("error   %s\n", error);
    }
    printf("%-20s %-12s %7s %9s %7s %6s  %s\n", "POOL", "STATE", "WEIGHT", "BUSY/ALL", "QUEUE", "REG", "REASON");
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(status, "pools"), i, pool)
    {
        char busy[32];
        snprintf(busy, sizeof busy, "%ld/%ld", integer(pool, "workers", "active"), integer(pool, "workers", "total"));
        printf("%-20s %-12s %7lld %9s %7ld %6s  %s\n", text(pool, "name"), text(pool, "state"),
            (long long)json_integer_value(json_object_get(pool, "weight")), busy, integer(pool, "queue", "length"),
            json_is_true(json_object_get(pool, "registered")) ? "yes" : "no", text(pool, "reason"));
    }
}

int cli_status(int argc, char **argv)
{
    struct cli_request r;
    int result = cli_prepare(&r, argc, argv, CLI_JSON, 0, 0);
    if (result) {
        return result;
    }
    json_t *status = cli_fetch_status(&r);
    if (!status) {
        return cli_no_helper(&r);
    }
    if (r.json) {
        json_dumpf(status, stdout, JSON_INDENT(2));
        puts("");
    } else {
        print_status(status);
    }
    json_decref(status);
    return 0;
}

/* Sends a change. Returns 0 or an exit code. */
static int change(const struct cli_request *r, const char *verb, const char *pool, const char *query)
{
    char path[CLI_PATH_BYTES], *body = NULL;
    int status = verb_path(path, verb, pool, query) ? ask(r->socket, "POST", path, &body) : -1;
    if (status == -1) {
        return cli_no_helper(r);
    }
    if (status != 200) {
        fprintf(stderr, "fpm-health: %s", body);
    }
    free(body);
    return status == 200 ? 0 : NAGIOS_UNKNOWN;
}

/* 1 when each named pool is quiet, -1 when a deadline of the helper's own passed first, else 0. */
static int drained(const json_t *status, const char *only)
{
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(status, "pools"), i, pool)
    {
        const char *phase = text(pool, "drain");
        if (only && strcmp(text(pool, "name"), only) != 0) {
            continue;
        }
        if (strcmp(phase, "quiet") != 0) {
            return strcmp(phase, "overdue") == 0 ? -1 : 0;
        }
    }
    return 1;
}

static int wait_drained(const struct cli_request *r, const char *pool)
{
    for (long waited_ms = 0; waited_ms <= r->timeout_ms; waited_ms += DRAIN_POLL_MS) {
        json_t *status = cli_fetch_status(r);
        if (!status) {
            return cli_no_helper(r);
        }
        int done = drained(status, pool);
        json_decref(status);
        if (done) {
            return done == 1 ? 0 : 1;
        }
        nanosleep(&(struct timespec){.tv_nsec = DRAIN_POLL_MS * 1000000L}, NULL);
    }
    fputs("fpm-health: not quiet in time\n", stderr);
    return 1;
}

int cli_drain(int argc, char **argv)
{
    struct cli_request r;
    int result = cli_prepare(&r, argc, argv, CLI_WAIT | CLI_TIMEOUT, 0, 1);
    if (result == 0) {
        result = change(&r, "/drain", r.words[0], "");
    }
    return result == 0 && r.wait ? wait_drained(&r, r.words[0]) : result;
}

int cli_undrain(int argc, char **argv)
{
    struct cli_request r;
    int result = cli_prepare(&r, argc, argv, 0, 0, 1);
    return result ? result : change(&r, "/undrain", r.words[0], "");
}

int cli_maint(int argc, char **argv)
{
    struct cli_request r;
    char query[CLI_PATH_BYTES / 2];
    int result = cli_prepare(&r, argc, argv, CLI_REASON, 1, 2);
    if (result) {
        return result;
    }
    bool on = strcmp(r.words[0], "on") == 0;
    if (!on && strcmp(r.words[0], "off") != 0) {
        fputs("fpm-health maint: on or off?\n", stderr);
        return EX_USAGE;
    }
    char *reason = client_escape(r.reason);
    snprintf(query, sizeof query, "?on=%d&reason=%s", on, reason ? reason : "");
    client_free(reason);
    return change(&r, "/maint", r.words[1], query);
}
