/* Commands that need no helper: serve, check-config, token-check; see cli.h. */
#define _GNU_SOURCE
#include "cli.h"

#include "client.h"
#include "run_dir.h"
#include "serve.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* A configuration as it grows from the command line. */
struct draft {
    json_t *top, *pools, *last_pool;
    const char *config_path;
    int board_fd, doorbell_fd, lifeline_fd;
    bool wrong;
};

static void add_pool(struct draft *d, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) {
        fprintf(stderr, "fpm-health serve: --pool %s: must be NAME=ADDRESS\n", text);
        d->wrong = true;
        return;
    }
    d->last_pool = json_pack("{s:s%, s:s}", "name", text, (int)(equals - text), "listen", equals + 1);
    json_array_append_new(d->pools, d->last_pool);
}

static void set_in_pool(struct draft *d, const char *key, json_t *value)
{
    if (!d->last_pool || json_object_set_new(d->last_pool, key, value) == -1) {
        fprintf(stderr, "fpm-health serve: name the --pool first\n");
        d->wrong = true;
    }
}

static void set_number_in_pool(struct draft *d, const char *key, const char *text)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    if (!*text || *end || number < 0) {
        fprintf(stderr, "fpm-health serve: %s: must be a whole number\n", text);
        d->wrong = true;
    }
    set_in_pool(d, key, json_integer(number));
}

static void add_listener(struct draft *d, const char *key, const char *address)
{
    json_t *list = json_object_get(d->top, key);
    if (!list) {
        list = json_array();
        json_object_set_new(d->top, key, list);
    }
    json_array_append_new(list, json_string(address));
}

static bool read_options(struct draft *d, int argc, char **argv)
{
    enum { CONFIG = 1, POOL, HTTP, AGENT, CONSUL, NODE, INSTANCE, RUN_DIR, CHILDREN, STATUS_PATH, BOARD };
    static const struct option options[] = {{"config", required_argument, NULL, CONFIG},
        {"pool", required_argument, NULL, POOL}, {"http", required_argument, NULL, HTTP},
        {"agent", required_argument, NULL, AGENT}, {"consul", required_argument, NULL, CONSUL},
        {"node", required_argument, NULL, NODE}, {"instance", required_argument, NULL, INSTANCE},
        {"run-dir", required_argument, NULL, RUN_DIR}, {"max-children", required_argument, NULL, CHILDREN},
        {"status-path", required_argument, NULL, STATUS_PATH}, {"board", required_argument, NULL, BOARD}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case CONFIG: d->config_path = optarg; break;
        case POOL: add_pool(d, optarg); break;
        case HTTP: add_listener(d, "health_listen", optarg); break;
        case AGENT: add_listener(d, "agent_listen", optarg); break;
        case CONSUL: json_object_set_new(d->top, "consul", json_pack("{s:s}", "url", optarg)); break;
        case NODE: json_object_set_new(d->top, "node", json_string(optarg)); break;
        case INSTANCE: json_object_set_new(d->top, "instance", json_string(optarg)); break;
        case RUN_DIR: json_object_set_new(d->top, "run_dir", json_string(optarg)); break;
        case CHILDREN: set_number_in_pool(d, "max_children", optarg); break;
        case STATUS_PATH: set_in_pool(d, "status_path", json_string(optarg)); break;
        case BOARD: d->wrong |= sscanf(optarg, "%d,%d,%d", &d->board_fd, &d->doorbell_fd, &d->lifeline_fd) != 3; break;
        default: d->wrong = true;
        }
    }
    bool pools = json_array_size(d->pools) > 0;
    return !d->wrong && optind == argc && pools != (d->config_path != NULL) && (d->config_path || d->board_fd == -1);
}

/* --run-dir names the folder of all instances, as it does for the other commands. */
static void complete_run_dir(struct draft *d)
{
    char room[PATH_MAX];
    const char *root = json_string_value(json_object_get(d->top, "run_dir"));
    const char *instance = json_string_value(json_object_get(d->top, "instance"));
    json_t *dir =
        json_sprintf("%s/%s", root ? root : run_dir_root(room, sizeof room), instance ? instance : "fpm-health");
    json_object_set_new(d->top, "run_dir", dir);
}

int cli_serve(int argc, char **argv)
{
    struct draft d = {
        .top = json_object(), .pools = json_array(), .board_fd = -1, .doorbell_fd = -1, .lifeline_fd = -1};
    char error[CONFIG_ERROR_BYTES];
    json_object_set_new(d.top, "pools", d.pools);
    if (!read_options(&d, argc, argv)) {
        fputs("fpm-health serve: wrong usage, see fpm-health --help\n", stderr);
        json_decref(d.top);
        return EX_USAGE;
    }
    complete_run_dir(&d);
    struct config *config =
        d.config_path ? config_load(d.config_path, error) : config_from_json(json_incref(d.top), "command line", error);
    json_decref(d.top);
    if (!config) {
        fprintf(stderr, "fpm-health: %s\n", error);
        return EX_CONFIG;
    }
    return serve(&(struct serve_options){config, d.config_path, d.board_fd, d.doorbell_fd, d.lifeline_fd});
}

int cli_check_config(int argc, char **argv)
{
    char error[CONFIG_ERROR_BYTES];
    if (argc != 2) {
        fputs("fpm-health check-config: which FILE?\n", stderr);
        return EX_USAGE;
    }
    struct config *config = config_load(argv[1], error);
    if (!config) {
        fprintf(stderr, "fpm-health: %s\n", error);
        return EX_CONFIG;
    }
    printf("%s: fine, %zu pool%s\n", argv[1], config->pool_count, config->pool_count == 1 ? "" : "s");
    config_destroy(config);
    return 0;
}

/* What the token must be allowed, asked from Consul itself. */
struct question {
    const char *path, *body, *what;
    bool answered, allowed;
    char why[256];
};

/* [{"Resource": …, "Allow": true}, …]; anything else is no permission. */
static bool all_allowed(const char *body)
{
    json_t *answers = json_loads(body, 0, NULL), *answer;
    size_t i;
    bool allowed = json_array_size(answers) > 0;
    json_array_foreach(answers, i, answer)
    {
        allowed &= json_is_true(json_object_get(answer, "Allow"));
    }
    json_decref(answers);
    return allowed;
}

static void on_answer(void *context, const struct client_answer *a)
{
    struct question *q = context;
    q->answered = true;
    bool no_acls = a->status == 401 && strstr(a->body, "ACL support disabled");
    q->allowed = no_acls || (a->status == 200 && (!q->body || all_allowed(a->body)));
    snprintf(q->why, sizeof q->why, "%.200s", a->status == 200 ? "not allowed" : a->status ? a->body : a->error);
    q->why[strcspn(q->why, "\r\n")] = '\0';
}

static int ask_consul(struct config *config, struct question *questions, size_t count)
{
    struct loop loop;
    int code = EX_UNAVAILABLE;
    struct client *client = loop_init(&loop) == 0 ? client_create(&loop, &config->consul) : NULL;
    for (size_t i = 0; client && i < count; i++) {
        struct question *q = &questions[i];
        code = i == 0 ? 0 : code;
        client_send(client, q->body ? "POST" : "GET", q->path, q->body, on_answer, q);
        for (int turns = 0; !q->answered && turns < 1000; turns++) {
            loop_turn(&loop);
        }
        printf("%-40s %s%s\n", q->what, q->allowed ? "ok" : "REFUSED: ", q->allowed ? "" : q->why);
        code = q->allowed ? code : 1;
    }
    client_destroy(client);
    loop_fini(&loop);
    return code;
}

int cli_token_check(int argc, char **argv)
{
    char error[CONFIG_ERROR_BYTES];
    if (argc != 3 || strcmp(argv[1], "--config") != 0) {
        fputs("fpm-health token-check: --config FILE\n", stderr);
        return EX_USAGE;
    }
    struct config *config = config_load(argv[2], error);
    if (!config || !config_wants_consul(config)) {
        fprintf(stderr, "fpm-health: %s\n", config ? "consul is off in this configuration" : error);
        config_destroy(config);
        return EX_CONFIG;
    }
    size_t count = config->pool_count + 2;
    struct question *questions = calloc(count, sizeof *questions);
    char **owned = calloc(2 * count, sizeof *owned);
    int code = EX_OSERR;
    if (questions && owned) {
        questions[0] = (struct question){.path = "/v1/agent/self", .what = "agent:read"};
        for (size_t i = 1; i < count; i++) {
            const char *service = i == 1 ? "svcreg" : config->pools[i - 2].service;
            json_t *body = json_pack("[{s:s, s:s, s:s}]", "Resource", "service", "Segment", service, "Access", "write");
            owned[2 * i] = json_dumps(body, 0);
            json_decref(body);
            if (asprintf(&owned[2 * i + 1], "service:write on %s", service) == -1) {
                owned[2 * i + 1] = NULL;
            }
            questions[i] =
                (struct question){.path = "/v1/internal/acl/authorize", .body = owned[2 * i], .what = owned[2 * i + 1]};
        }
        code = ask_consul(config, questions, count);
    }
    for (size_t i = 0; owned && i < 2 * count; i++) {
        free(owned[i]);
    }
    free(owned);
    free(questions);
    config_destroy(config);
    return code;
}
