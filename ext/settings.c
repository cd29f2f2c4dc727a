#include "settings.h"
#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "SAPI.h"
#include "php_ini.h"
#include "ext/standard/info.h"

static const zend_long MAX_DURATION_MS = 7L * 24 * 3600 * 1000;
static const zend_long MAX_WEIGHT = 65535; /* Consul's own limit */

zend_long settings_duration_ms(const char *text)
{
    static const struct {
        const char *unit;
        zend_long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
    char *end;

    if (*text < '0' || *text > '9') {
        return -1;
    }
    errno = 0;
    zend_long n = ZEND_STRTOL(text, &end, 10);
    for (size_t i = 0; errno == 0 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            return n <= MAX_DURATION_MS / units[i].ms ? n * units[i].ms : -1;
        }
    }
    return -1;
}

static zend_long *field(void *base, void *offset)
{
    return (zend_long *)((char *)base + (size_t)offset);
}

/* Says once, at start, that a value is not used. FAILURE: PHP then takes the default (zend_register_ini_entries). */
static zend_result refuse(const zend_ini_entry *entry, const zend_string *value, const char *wanted, int stage)
{
    if (stage == ZEND_INI_STAGE_STARTUP) {
        static const char form[] = "%s: \"%s\" is not %s; the default is used";
        if (strcmp(sapi_module.name, "fpm-fcgi") == 0) {
            say_warning(form, ZSTR_VAL(entry->name), ZSTR_VAL(value), wanted);
        } else {
            zend_error(E_WARNING, form, ZSTR_VAL(entry->name), ZSTR_VAL(value), wanted);
        }
    }
    return FAILURE;
}

static PHP_INI_MH(on_duration)
{
    zend_long *target = field(ZEND_INI_GET_BASE(), mh_arg1);
    zend_long ms = settings_duration_ms(ZSTR_VAL(new_value));
    if (ms >= 0) {
        *target = ms;
        return SUCCESS;
    }
    return refuse(entry, new_value, "a duration such as 500ms, 2s or 1m", stage);
}

static PHP_INI_MH(on_weight)
{
    zend_long *target = field(ZEND_INI_GET_BASE(), mh_arg1);
    char *end;
    errno = 0;
    zend_long n = ZEND_STRTOL(ZSTR_VAL(new_value), &end, 10);
    if (errno == 0 && *end == '\0' && n >= 0 && n <= MAX_WEIGHT) {
        *target = n;
        return SUCCESS;
    }
    return refuse(entry, new_value, "a weight from 1 to 65535, or 0 for pm.max_children", stage);
}

/* A string out of a list, whose first is the default; the list is mh_arg3, words divided by '|'. */
static PHP_INI_MH(on_choice)
{
    const char *choices = mh_arg3;
    size_t length = ZSTR_LEN(new_value);
    for (const char *c = choices; *c;) {
        size_t n = strcspn(c, "|");
        if (n == length && memcmp(c, ZSTR_VAL(new_value), n) == 0) {
            return OnUpdateString(entry, new_value, mh_arg1, mh_arg2, NULL, stage);
        }
        c += n + (c[n] == '|');
    }
    char wanted[80];
    snprintf(wanted, sizeof wanted, "one of %s", choices);
    return refuse(entry, new_value, wanted, stage);
}

static PHP_INI_MH(on_consul)
{
    static const char *const schemes[] = {"http://", "https://", "unix://"};
    const char *url = ZSTR_VAL(new_value);
    bool good = *url == '\0' || strcmp(url, "off") == 0 || strcmp(url, "auto") == 0; /* PHP reads a bare off as "" */
    for (size_t i = 0; i < 3 && !good; i++) {
        size_t n = strlen(schemes[i]);
        good = strncmp(url, schemes[i], n) == 0 && url[n] != '\0';
    }
    if (good) {
        return OnUpdateString(entry, new_value, mh_arg1, mh_arg2, mh_arg3, stage);
    }
    return refuse(
        entry, new_value, "an address such as http://127.0.0.1:8500, https://…, unix:///…, or auto or off", stage);
}

#define SETTING(name, value, handler, member) \
    STD_PHP_INI_ENTRY("svcreg." name, value, PHP_INI_SYSTEM, handler, member, zend_svcreg_globals, svcreg_globals)
#define CHOICE(name, value, choices, member) \
    PHP_INI_ENTRY3_EX("svcreg." name, value, PHP_INI_SYSTEM, on_choice, \
        (void *)XtOffsetOf(zend_svcreg_globals, member), CHOICE_BASE, (void *)(choices), NULL)
#ifdef ZTS
#define CHOICE_BASE ((void *)&svcreg_globals_id)
#else
#define CHOICE_BASE ((void *)&svcreg_globals)
#endif

/* The reference is the README; an empty value stands for the environment's or a computed default, named in settings.h. */
PHP_INI_BEGIN()
STD_PHP_INI_BOOLEAN("svcreg.enabled", "1", PHP_INI_SYSTEM, OnUpdateBool, enabled, zend_svcreg_globals, svcreg_globals)
SETTING("consul", "auto", on_consul, consul)
SETTING("token_file", "", OnUpdateString, token_file)
SETTING("node", "", OnUpdateString, node)
SETTING("instance", "", OnUpdateString, instance)
SETTING("service", "", OnUpdateString, service)
SETTING("tags", "", OnUpdateString, tags)
SETTING("meta", "", OnUpdateString, meta)
SETTING("address", "", OnUpdateString, address)
SETTING("weight", "0", on_weight, weight)
SETTING("health_listen", "127.0.0.1:9180", OnUpdateString, health_listen)
SETTING("agent_listen", "off", OnUpdateString, agent_listen)
SETTING("ttl", "1500ms", on_duration, ttl_ms)
SETTING("heartbeat", "500ms", on_duration, heartbeat_ms)
SETTING("deregister_after", "1m", on_duration, deregister_after_ms)
CHOICE("ready", "auto", "auto|manual", ready)
SETTING("warmup", "", OnUpdateString, warmup)
SETTING("probe", "", OnUpdateString, probe)
SETTING("probe_interval", "5s", on_duration, probe_interval_ms)
SETTING("hang_timeout", "10s", on_duration, hang_timeout_ms)
SETTING("drain_quiet", "300ms", on_duration, drain_quiet_ms)
SETTING("drain_probers", "700ms", on_duration, drain_probers_ms)
SETTING("drain_timeout", "25s", on_duration, drain_timeout_ms)
SETTING("log", "", OnUpdateString, log)
CHOICE("log_level", "notice", "debug|notice|warning|error", log_level)
SETTING("helper", SVCREG_HELPER, OnUpdateStringUnempty, helper)
SETTING("run_dir", "/run/svcreg", OnUpdateStringUnempty, run_dir)
SETTING("user", "", OnUpdateString, user)
PHP_INI_END()

static char ***environment; /* the variable, once it was looked for */

/*
 * Not by its name: PHP loads extensions with RTLD_DEEPBIND, by which a name means libc's own variable. Where the program
 * was linked to have a copy (as gcc does it, but for Debian's PHP), that copy is the one in use, by libc too.
 */
static void find_environ(void)
{
    void *program = dlopen(NULL, RTLD_LAZY);
    void *variable = program ? dlsym(program, "__environ") : NULL;
    environment = variable ? variable : &environ;
    if (program) {
        dlclose(program);
    }
}

char **settings_environ(void)
{
    return environment ? *environment : NULL;
}

void settings_register(int type, int module_number)
{
    find_environ();
    REGISTER_INI_ENTRIES();
}

void settings_unregister(int type, int module_number)
{
    UNREGISTER_INI_ENTRIES();
}

const char *settings_env(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

char *settings_consul_url(void)
{
    if (strcmp(SVCREG_G(consul), "auto") != 0) {
        return strdup(*SVCREG_G(consul) ? SVCREG_G(consul) : "off");
    }
    const char *address = settings_env("CONSUL_HTTP_ADDR");
    if (!address) {
        return strdup("http://127.0.0.1:8500");
    }
    if (strstr(address, "://")) {
        return strdup(address);
    }
    const char *ssl = settings_env("CONSUL_HTTP_SSL");
    bool tls = ssl && (strcmp(ssl, "1") == 0 || strcasecmp(ssl, "true") == 0);
    char *url = NULL;
    return asprintf(&url, "%s://%s", tls ? "https" : "http", address) == -1 ? NULL : url;
}

char *settings_node(void)
{
    const char *node = *SVCREG_G(node) ? SVCREG_G(node) : settings_env("SVCREG_NODE");
    if (node) {
        return strdup(node);
    }
    char host[HOST_NAME_MAX + 1] = "localhost";
    gethostname(host, sizeof host - 1);
    return strdup(host);
}

const char *settings_user(void)
{
    if (geteuid() != 0) {
        return "";
    }
    if (*SVCREG_G(user)) {
        return SVCREG_G(user);
    }
    return getpwnam("svcreg") ? "svcreg" : "nobody";
}
