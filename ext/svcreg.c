/* svcreg.so: makes each PHP-FPM pool a service that others can find. The module itself; see master.h and worker.h. */
#include "php_svcreg.h"
#include "SAPI.h"
#include "ext/standard/info.h"

#include "fpm_args.h"
#include "master.h"
#include "settings.h"
#include "status.h"
#include "worker.h"
#include "svcreg_arginfo.h"

ZEND_DECLARE_MODULE_GLOBALS(svcreg)

PHP_FUNCTION(svcreg_ready)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_BOOL(worker_hold(BOARD_HOLD_READY, NULL));
}

PHP_FUNCTION(svcreg_unready)
{
    zend_string *reason;
    ZEND_PARSE_PARAMETERS_START(1, 1)
    Z_PARAM_STR(reason)
    ZEND_PARSE_PARAMETERS_END();
    RETURN_BOOL(worker_hold(BOARD_HOLD_UNREADY, ZSTR_VAL(reason)));
}

PHP_FUNCTION(svcreg_status)
{
    ZEND_PARSE_PARAMETERS_NONE();
    status_array(return_value);
}

PHP_FUNCTION(svcreg_node)
{
    ZEND_PARSE_PARAMETERS_NONE();
    const char *known = master_identity()->node;
    char *node = known ? NULL : settings_node();
    RETVAL_STRING(known ? known : node ? node : "");
    free(node);
}

PHP_FUNCTION(svcreg_pool)
{
    ZEND_PARSE_PARAMETERS_NONE();
    const char *name = worker_pool_name();
    if (!name) {
        RETURN_NULL();
    }
    RETURN_STRING(name);
}

static void globals_init(void *globals)
{
#if defined(ZTS) && defined(COMPILE_DL_SVCREG)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    memset(globals, 0, sizeof(zend_svcreg_globals));
}

static PHP_MINIT_FUNCTION(svcreg)
{
    settings_register(type, module_number);
    if (!SVCREG_G(enabled) || strcmp(sapi_module.name, "fpm-fcgi") != 0) {
        return SUCCESS;
    }
    struct fpm_args args;
    if (fpm_args_read(&args) == 0 && args.serves) {
        master_start(&args);
    }
    fpm_args_free(&args);
    return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(svcreg)
{
    master_stop();
    settings_unregister(type, module_number);
    return SUCCESS;
}

static PHP_RINIT_FUNCTION(svcreg)
{
#if defined(ZTS) && defined(COMPILE_DL_SVCREG)
    ZEND_TSRMLS_CACHE_UPDATE();
#endif
    worker_request_begin();
    return SUCCESS;
}

static PHP_RSHUTDOWN_FUNCTION(svcreg)
{
    worker_request_end();
    return SUCCESS;
}

static PHP_MINFO_FUNCTION(svcreg)
{
    status_info();
    DISPLAY_INI_ENTRIES();
}

zend_module_entry svcreg_module_entry = {
    STANDARD_MODULE_HEADER,
    "svcreg",
    ext_functions,
    PHP_MINIT(svcreg),
    PHP_MSHUTDOWN(svcreg),
    PHP_RINIT(svcreg),
    PHP_RSHUTDOWN(svcreg),
    PHP_MINFO(svcreg),
    SVCREG_VERSION,
    PHP_MODULE_GLOBALS(svcreg),
    globals_init,
    NULL,
    NULL,
    STANDARD_MODULE_PROPERTIES_EX,
};

#ifdef COMPILE_DL_SVCREG
#ifdef ZTS
ZEND_TSRMLS_CACHE_DEFINE()
#endif
ZEND_GET_MODULE(svcreg)
#endif
