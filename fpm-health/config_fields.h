/* The keys of config.json: which there are, of what kind, and where each goes in a struct config. For config.c alone. */
#ifndef FPM_HEALTH_CONFIG_FIELDS_H
#define FPM_HEALTH_CONFIG_FIELDS_H

#include "config.h"

/* Where we are, for errors: "file: key: reason". */
struct config_place {
    const char *file;
    char *error; /* room for CONFIG_ERROR_BYTES */
};

/* Writes the error. Returns -1. */
int config_refuse(const struct config_place *place, const char *key, const char *reason);

/* All of the document but its pools, over the defaults that are there. Texts stay the document's. Returns 0, or -1 refused. */
int config_read_top(const struct config_place *place, json_t *document, struct config *config);

/* One pool; `key` names it in errors. */
int config_read_pool(const struct config_place *place, const char *key, json_t *object, struct pool_config *pool);

#endif
