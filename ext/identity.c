#include "php_svcreg.h"
#include "identity.h"
#include "settings.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The configuration's path without its leading slash; runs of anything but [A-Za-z0-9._] become one '-'. */
static char *instance_name(const char *config_path)
{
    char cwd[PATH_MAX] = "";
    char *name = NULL;
    if (*SVCREG_G(instance)) {
        return strdup(SVCREG_G(instance));
    }
    if (*config_path != '/' && !getcwd(cwd, sizeof cwd)) {
        *cwd = '\0';
    }
    if (asprintf(&name, "%s/%s", cwd, config_path) == -1) {
        return NULL;
    }
    char *to = name;
    for (const char *from = name + strspn(name, "/"); *from; from++) {
        bool plain = (*from >= 'A' && *from <= 'Z') || (*from >= 'a' && *from <= 'z') ||
            (*from >= '0' && *from <= '9') || *from == '.' || *from == '_';
        if (plain) {
            *to++ = *from;
        } else if (to == name || to[-1] != '-') {
            *to++ = '-';
        }
    }
    *to = '\0';
    return name;
}

bool identity_make(struct master_identity *identity, const char *config_path)
{
    *identity = (struct master_identity){
        .node = settings_node(),
        .instance = instance_name(config_path),
        .consul_url = settings_consul_url(),
    };
    return identity->node && identity->instance && identity->consul_url;
}

void identity_free(struct master_identity *identity)
{
    free(identity->node);
    free(identity->instance);
    free(identity->consul_url);
    *identity = (struct master_identity){0};
}

uint64_t identity_start_time(void)
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    if (fd != -1) {
        close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    char *p = strrchr(text, ')'); /* the command's name may hold anything */
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }
    return p ? strtoull(p + 1, NULL, 10) : 0;
}
