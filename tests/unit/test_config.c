/* config.json: every wrong one is refused by file, key and reason. */
#include "unit.h"

#include "address.h"
#include "config.h"

static struct config *read_config(const char *text, char error[static CONFIG_ERROR_BYTES])
{
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    return config_from_json(document, "f.json", error);
}

static void wrong_configurations_name_their_key(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"{}", "f.json: pools: missing"},
        {"[]", "f.json: (top): must be an object"},
        {"{\"pools\": {}}", "f.json: pools: must be a list"},
        {"{\"pools\": [], \"pool\": 1}", "f.json: pool: unknown key"},
        {"{\"pools\": [], \"consul\": {\"ulr\": \"\"}}", "f.json: consul.ulr: unknown key"},
        {"{\"pools\": [], \"consul\": \"off\"}", "f.json: consul: must be an object"},
        {"{\"pools\": [], \"consul\": {\"verify\": 1}}", "f.json: consul.verify: must be true or false"},
        {"{\"pools\": [], \"consul\": {\"ttl_ms\": 99}}", "f.json: consul.ttl_ms: must be from 100 to 86400000"},
        {"{\"pools\": [], \"consul\": {\"heartbeat_ms\": 1000}}",
            "f.json: consul.heartbeat_ms: must be at most half of ttl_ms"},
        {"{\"pools\": [], \"node\": 1}", "f.json: node: must be a string"},
        {"{\"pools\": [], \"generation\": 1.5}", "f.json: generation: must be a whole number"},
        {"{\"pools\": [], \"health_listen\": [1]}", "f.json: health_listen: must be a list of strings"},
        {"{\"pools\": [], \"log_level\": \"loud\"}", "f.json: log_level: must be debug, notice, warning or error"},
        {"{\"pools\": [], \"instance\": \"../x\"}", "f.json: instance: must not be empty or hold a '/'"},
        {"{\"pools\": [{}]}", "f.json: pools[0]: name: must not be empty or hold a '/'"},
        {"{\"pools\": [{\"name\": \"a\"}]}", "f.json: pools[0]: listen: missing"},
        {"{\"pools\": [{\"name\": \"a\", \"listen\": \"/x\", \"pm\": \"magic\"}]}",
            "f.json: pools[0]: pm: must be static, dynamic or ondemand"},
        {"{\"pools\": [{\"name\": \"a\", \"listen\": \"/x\", \"ready\": \"soon\"}]}",
            "f.json: pools[0]: ready: must be auto or manual"},
        {"{\"pools\": [{\"name\": \"a\", \"listen\": \"/x\", \"meta\": {\"k\": 1}}]}",
            "f.json: pools[0].meta: must be an object of strings"},
        {"{\"pools\": [{\"name\": \"a\", \"listen\": \"/x\"}, {\"name\": \"a\", \"listen\": \"/y\"}]}",
            "f.json: pools: two of the same name, or no memory to find out"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char error[CONFIG_ERROR_BYTES];
        assert_null(read_config(cases[i].text, error));
        assert_string_equal(error, cases[i].error);
    }
}

static void defaults_fill_what_is_left_out(void **state)
{
    char error[CONFIG_ERROR_BYTES];
    (void)state;
    setenv("SVCREG_NODE", "n7", 1);
    struct config *c = read_config("{\"pools\": [{\"name\": \"web\", \"listen\": \"*:9000\", \"meta\": []}]}", error);
    assert_non_null(c);
    assert_string_equal(c->node, "n7");
    assert_string_equal(c->run_dir, "/run/svcreg/fpm-health");
    assert_false(config_wants_consul(c));
    assert_int_equal(c->consul.ttl_ms, 1500);
    assert_int_equal(c->drain.timeout_ms, 25000);
    assert_true(c->pools[0].enabled);
    assert_string_equal(c->pools[0].service, "web");
    assert_string_equal(c->pools[0].ready, "auto");
    config_destroy(c);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    char error[CONFIG_ERROR_BYTES];
    (void)state;
    assert_null(config_load("/nonexistent/config.json", error));
    assert_non_null(strstr(error, "/nonexistent/config.json"));
    assert_null(config_load("/proc/self/cmdline", error));
    assert_non_null(strstr(error, "line 1"));
}

static void listen_addresses_are_read_as_fpm_reads_them(void **state)
{
    static const struct {
        const char *text;
        int family; /* 0: refused */
        uint16_t port;
        bool wildcard, loopback;
        const char *ip;
    } cases[] = {
        {"9000", AF_INET, 9000, true, false, "127.0.0.1"},
        {"*:9000", AF_INET, 9000, true, false, "127.0.0.1"},
        {"0.0.0.0:9000", AF_INET, 9000, true, false, "127.0.0.1"},
        {"[::]:9000", AF_INET6, 9000, true, false, "::1"},
        {"127.0.0.1:9000", AF_INET, 9000, false, true, "127.0.0.1"},
        {"[::1]:9000", AF_INET6, 9000, false, true, "::1"},
        {"10.1.2.3:9001", AF_INET, 9001, false, false, "10.1.2.3"},
        {"/run/web.sock", AF_UNIX, 0, false, false, ""},
        {"*:0", 0, 0, false, false, ""},
        {"*:65536", 0, 0, false, false, ""},
        {"*:9000x", 0, 0, false, false, ""},
        {":9000", 0, 0, false, false, ""},
        {"", 0, 0, false, false, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a;
        const char *why;
        char ip[INET6_ADDRSTRLEN];
        print_message("  %s\n", cases[i].text);
        assert_int_equal(address_parse(&a, cases[i].text, &why), cases[i].family ? 0 : -1);
        if (cases[i].family) {
            address_ip(&a, ip);
            assert_int_equal(a.to.any.sa_family, cases[i].family);
            assert_int_equal(a.port, cases[i].port);
            assert_int_equal(a.wildcard, cases[i].wildcard);
            assert_int_equal(address_is_loopback(&a), cases[i].loopback);
            assert_string_equal(ip, cases[i].ip);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_configurations_name_their_key),
        cmocka_unit_test(defaults_fill_what_is_left_out),
        cmocka_unit_test(files_that_cannot_be_read_say_why),
        cmocka_unit_test(listen_addresses_are_read_as_fpm_reads_them),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
