/* svcreg.* in php.ini: what they are, and how a bad value is met (a warning, and the default). */
#ifndef SVCREG_SETTINGS_H
#define SVCREG_SETTINGS_H

#include "php_svcreg.h"

/* Registers the INI entries. A value that cannot be used is warned about once and its default taken. */
void settings_register(int type, int module_number);
void settings_unregister(int type, int module_number);

/* Milliseconds of "250ms", "2s", "1m" or a plain number of seconds; -1 where it is none, or more than a week. */
zend_long settings_duration_ms(const char *text);

/* The value of an environment variable, or NULL where it is unset or empty. */
const char *settings_env(const char *name);

/* The process's whole environment; NULL where it was cleared. After settings_register() fit for a signal handler. */
char **settings_environ(void);

/* Where the helper listens for Consul: svcreg.consul, where it is auto CONSUL_HTTP_ADDR with its scheme, else the local agent. Caller frees. */
char *settings_consul_url(void);

/* svcreg.node, else SVCREG_NODE, else the host's name. Caller frees. */
char *settings_node(void);

/* Who the helper runs as: svcreg.user, else "svcreg" where there is such a user, else "nobody"; "" where FPM is not root. */
const char *settings_user(void);

#endif
