/* The module: its globals, which hold the settings of php.ini, and how the other files reach them. */
#ifndef PHP_SVCREG_H
#define PHP_SVCREG_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "php.h"

extern zend_module_entry svcreg_module_entry;
#define phpext_svcreg_ptr &svcreg_module_entry

/* php.ini's settings, parsed; durations in milliseconds. Strings belong to PHP's INI system and are never NULL. */
ZEND_BEGIN_MODULE_GLOBALS(svcreg)
bool enabled;
char *consul;
char *token_file;
char *node;
char *instance;
char *service;
char *tags;
char *meta;
char *address;
zend_long weight;
char *health_listen;
char *agent_listen;
zend_long ttl_ms;
zend_long heartbeat_ms;
zend_long deregister_after_ms;
char *ready;
char *warmup;
char *probe;
zend_long probe_interval_ms;
zend_long hang_timeout_ms;
zend_long drain_quiet_ms;
zend_long drain_probers_ms;
zend_long drain_timeout_ms;
char *log;
char *log_level;
char *helper;
char *run_dir;
char *user;
ZEND_END_MODULE_GLOBALS(svcreg)

ZEND_EXTERN_MODULE_GLOBALS(svcreg)
#define SVCREG_G(v) ZEND_MODULE_GLOBALS_ACCESSOR(svcreg, v)

#if defined(ZTS) && defined(COMPILE_DL_SVCREG)
ZEND_TSRMLS_CACHE_EXTERN()
#endif

#endif
