/*
 * A hostile Consul: any status and any body, in any order, while pools come, go, change and leave. The client below stands
 * in for client.c: what it is asked to send waits for an answer that the input names.
 */
#include "fuzz.h"

#include "client.h"
#include "consul_service.h"

struct asked {
    client_done *done; /* NULL: free */
    void *context;
    bool is_put;
};

static struct asked asked[CONSUL_IN_FLIGHT];
static char the_client;

struct client *client_create(struct loop *loop, const struct consul_config *config)
{
    (void)loop;
    (void)config;
    return (struct client *)(void *)&the_client;
}

void client_destroy(struct client *client)
{
    (void)client;
    REQUIRE(client_in_flight(client) == 0);
}

int client_send(
    struct client *c, const char *method, const char *path, const char *body, client_done *done, void *context)
{
    (void)c;
    REQUIRE(path[0] == '/' && strlen(path) < 2048 && (body || strcmp(method, "GET") == 0));
    for (int i = 0; i < CONSUL_IN_FLIGHT; i++) {
        if (!asked[i].done) {
            asked[i] = (struct asked){done, context, strcmp(method, "PUT") == 0};
            return 0;
        }
    }
    return -1;
}

void client_cancel(struct client *client)
{
    (void)client;
    memset(asked, 0, sizeof asked);
}

int client_in_flight(const struct client *client)
{
    int n = 0;
    (void)client;
    for (int i = 0; i < CONSUL_IN_FLIGHT; i++) {
        n += asked[i].done != NULL;
    }
    return n;
}

static bool token_changes; /* as the input says */

bool client_token_changed(struct client *client)
{
    bool changed = token_changes;
    (void)client;
    token_changes = false;
    return changed;
}

const char *client_url(const struct client *client)
{
    (void)client;
    return "http://consul";
}

char *client_escape(const char *segment)
{
    return strdup(segment);
}

void client_free(char *text)
{
    free(text);
}

void client_read_token_early(const struct consul_config *config)
{
    (void)config;
}

enum { POOLS = 3 };

static struct loop loop;
static struct pool pools[POOLS];
static struct pool *table[POOLS] = {&pools[0], &pools[1], &pools[2]};
static struct instance in;
static struct config *config;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_no_log();
    REQUIRE(loop_init(&loop) == 0);
    config = fuzz_config(
        "{'node':'n','instance':'i','consul':{'url':'http://consul'},'pools':[{'name':'web','listen':'*:9000'},"
        "{'name':'api','listen':'/run/api'},{'name':'cron','listen':'*:9001'}]}");
    return 0;
}

static void on_changed(void *context)
{
    (void)context;
}

/* An answer for the n-th of what was asked: a byte of status, two of length, the body. */
static void answer(const uint8_t **data, size_t *size, uint8_t n)
{
    static const int statuses[] = {200, 404, 500, 400, 403, 0, 429, 301};
    uint8_t code = fuzz_byte(data, size);
    size_t length = (size_t)fuzz_byte(data, size) << 8;
    length |= fuzz_byte(data, size);
    length = length < *size ? length : *size;
    char *body = fuzz_text(*data, length);
    *data += length;
    *size -= length;
    struct asked *a = &asked[n % CONSUL_IN_FLIGHT];
    struct asked taken = *a;
    if (taken.done) {
        struct client_answer answer = {.status = code < 128 ? statuses[code % 8] : code * 4,
            .error = "no answer",
            .body = body,
            .body_length = strlen(body),
            .local_ip = code & 64 ? "10.0.0.7" : "127.0.0.1",
            .seconds = 0.01};
        a->done = NULL;
        taken.done(taken.context, &answer);
    }
    free(body);
}

static void fire_if_due(struct loop_timer *timer)
{
    if (timer->place && timer->due_ms <= loop.now_ms) {
        loop_clear(&loop, timer);
        timer->fire(timer);
    }
}

static void pass_time(struct consul *c, uint8_t amount)
{
    loop.now_ms += (int64_t)amount * 10;
    fire_if_due(&c->beat);
    fire_if_due(&c->retry);
    fire_if_due(&c->deadline);
}

static void change_pool(struct consul *c, struct pool *p, uint8_t what)
{
    struct verdict v = {.state = (enum board_state)(what % BOARD_STATES), .reason = "because"};
    if (what & 128) {
        p->sample.maintenance = what & 1;
    }
    if (!p->service) {
        consul_want(c, p);
    } else if (what & 64) {
        consul_drop(c, p->service);
        p->service = NULL;
    } else {
        consul_tell(c, p->service, &v);
    }
}

static void require_order(const struct consul_list *list)
{
    const struct consul_service *before = NULL;
    for (const struct consul_service *s = list->first; s; before = s, s = s->next) {
        REQUIRE(s->previous == before && (s->next || list->last == s));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(pools, 0, sizeof pools);
    in = (struct instance){.config = config, .pools = table, .pool_count = POOLS};
    for (size_t i = 0; i < POOLS; i++) {
        pools[i].config = &config->pools[i];
        pools[i].index = i;
    }
    loop.now_ms = 1000;
    token_changes = false;
    struct consul *c = consul_create(&loop, &in, on_changed, NULL);
    REQUIRE(c);
    consul_want(c, &pools[0]);
    for (pass_time(c, 1); size;) {
        uint8_t op = fuzz_byte(&data, &size);
        switch (op % 8) {
        case 0: pass_time(c, fuzz_byte(&data, &size)); break;
        case 1: change_pool(c, &pools[op / 8 % POOLS], fuzz_byte(&data, &size)); break;
        case 2:
            if (op < 16) {
                token_changes = true;
            } else if (op > 240) {
                consul_leave(c);
            } else if (op > 230) {
                consul_retire(c);
            } else if (!c->retired) {
                consul_reconfigure(c);
            }
            break;
        default: answer(&data, &size, op / 8);
        }
        require_order(&c->ready);
        require_order(&c->beats);
        REQUIRE(strlen(in.consul_error) < sizeof in.consul_error && client_in_flight(NULL) <= CONSUL_IN_FLIGHT);
    }
    consul_destroy(c);
    REQUIRE(loop.timer_count == 0 && client_in_flight(NULL) == 0);
    return 0;
}
