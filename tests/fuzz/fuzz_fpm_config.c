/*
 * FPM's configuration through the extension's reader, and PHP's own INI parser behind it. What `include` names is found by the
 * function below in place of glob(3): the input itself, so that inclusion has to end, or nothing.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <glob.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fpm_config.h"
#include "say.h"
#include "sapi/embed/php_embed.h"

static char path[64];
static int fd = -1, included;

int fuzz_glob(const char *pattern, int flags, int (*error)(const char *, int), glob_t *found)
{
    (void)flags;
    (void)error;
    if (strchr(pattern, '!') || ++included > 3) { /* files inside files inside files take their time */
        return strchr(pattern, '!') ? GLOB_ABORTED : GLOB_NOMATCH;
    }
    found->gl_pathv = calloc(2, sizeof(char *));
    REQUIRE(found->gl_pathv);
    found->gl_pathv[0] = strdup(path);
    found->gl_pathc = 1;
    return 0;
}

void fuzz_globfree(glob_t *found)
{
    for (size_t i = 0; i < found->gl_pathc; i++) {
        free(found->gl_pathv[i]);
    }
    free(found->gl_pathv);
}

/* In place of FPM's log. */
void say_warning(const char *format, ...)
{
    (void)format;
}

/* What PHP itself never frees. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:zend_register_functions\n";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char name[] = "fuzz", ini[] = "display_errors=0\nlog_errors=0\nerror_reporting=0\n";
    char *args[] = {name, NULL};
    (void)argc;
    (void)argv;
    setenv("USE_ZEND_ALLOC", "0", 1); /* malloc's blocks, that the sanitizer knows the bounds of */
    php_embed_module.ini_entries = ini;
    php_embed_module.php_ini_ignore = 1;
    REQUIRE(php_embed_init(1, args) == SUCCESS);
    fd = memfd_create("php-fpm.conf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fpm_config config;
    included = 0;
    REQUIRE(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    int result = fpm_config_read(&config, path, NULL);
    REQUIRE((result == 0) == (config.error[0] == '\0') && strlen(config.error) < sizeof config.error);
    for (size_t i = 0; result == 0 && i < config.count; i++) {
        REQUIRE(config.pools[i].name && config.pools[i].listen && config.pools[i].listen[0]);
    }
    fpm_config_free(&config);
    return 0;
}
