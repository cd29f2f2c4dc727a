/* config.json, and what its texts become: registrations, and every answer that names a pool. */
#include "fuzz.h"

#include <time.h>

#include "answers.h"
#include "registration.h"
#include "verdict.h"

static void require_json(char *body)
{
    json_t *json = body ? json_loads(body, JSON_ALLOW_NUL, NULL) : NULL;
    REQUIRE(json);
    json_decref(json);
    free(body);
}

static void ask(struct answers *answers, const char *path, bool json)
{
    struct http_request r = {.method = HTTP_GET, .version = HTTP_1_1, .path = path, .path_length = strlen(path)};
    struct answer a = answers_find(answers, &r, 1000);
    REQUIRE(a.bytes && a.length > a.head_length);
    if (json) {
        require_json(fuzz_text((const uint8_t *)a.bytes + a.head_length + 2, a.length - a.head_length - 2));
    }
}

static void answer_all(struct instance *in)
{
    struct consul *no_consul = NULL;
    struct answers *answers = answers_create(in, &no_consul);
    REQUIRE(answers);
    ask(answers, "/status", true);
    ask(answers, "/health", true);
    ask(answers, "/metrics", false);
    ask(answers, "/", false);
    for (size_t i = 0; i < in->pool_count && i < 4; i++) {
        const char *name = in->pools[i]->config->name;
        struct answer a = answers_agent(answers, name, strlen(name));
        REQUIRE(a.length > 0 && a.bytes[a.length - 1] == '\n');
        require_json(registration_of_pool(in, in->pools[i], "id", "10.0.0.1"));
    }
    require_json(registration_of_helper(in, "id", ""));
    answers_destroy(answers);
}

static void use(struct config *config)
{
    struct instance in = {.config = config, .pool_count = config->pool_count, .consul_url = "off"};
    struct pool *pools = calloc(config->pool_count + 1, sizeof *pools);
    in.pools = calloc(config->pool_count + 1, sizeof(struct pool *));
    REQUIRE(pools && in.pools);
    for (size_t i = 0; i < config->pool_count; i++) {
        in.pools[i] = &pools[i];
        pools[i].config = &config->pools[i];
        pools[i].index = i;
        verdict_compute(&pools[i].policy, &pools[i].sample, &pools[i].history, 1000, &pools[i].verdict);
    }
    answer_all(&in);
    free(in.pools);
    free(pools);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[CONFIG_ERROR_BYTES] = "";
    json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!document) {
        return 0;
    }
    struct config *config = config_from_json(document, "fuzz", error);
    REQUIRE(config || error[0]);
    if (config) {
        REQUIRE(config->node[0] && config->run_dir[0] && config->consul.heartbeat_ms * 2 <= config->consul.ttl_ms);
        use(config);
        config_destroy(config);
    }
    return 0;
}
