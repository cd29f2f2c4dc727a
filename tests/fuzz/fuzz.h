/* What the fuzz targets share. Each is a LLVMFuzzerTestOneInput() that hands hostile bytes to one reader of fpm-health. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"

/* What has to hold for any input; a finding where it does not. */
#define REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Takes one byte off the front of the input; 0 when it is used up. */
static inline uint8_t fuzz_byte(const uint8_t **data, size_t *size)
{
    if (*size == 0) {
        return 0;
    }
    (*size)--;
    return *(*data)++;
}

/* The bytes as a text that ends with NUL. The caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* A good configuration, from JSON in which ' stands for ". */
static inline struct config *fuzz_config(const char *json)
{
    char error[CONFIG_ERROR_BYTES], *text = fuzz_text((const uint8_t *)json, strlen(json));
    for (char *at = text; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    struct config *config = config_from_json(json_loads(text, 0, NULL), "fuzz", error);
    free(text);
    REQUIRE(config);
    return config;
}

static inline void fuzz_no_log(void)
{
    log_open("/dev/null", LOG_LEVEL_ERROR);
}

#endif
