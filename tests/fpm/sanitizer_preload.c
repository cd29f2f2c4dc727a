/*
 * Preloaded before the address sanitizer's library, so that Debian's PHP can load an extension that was built with it.
 * PHP's RTLD_DEEPBIND would hide the sanitizer's malloc() from the extension. The sanitizer's vfork() remembers one return
 * address, so a child of a vfork() can't call it again, as helper.c does: libc's own can.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/types.h>

static void *(*next_dlopen)(const char *, int);
static pid_t (*libc_vfork)(void);

__attribute__((constructor)) static void find(void)
{
    next_dlopen = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    libc_vfork = (pid_t(*)(void))dlsym(next_dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "vfork");
}

void *dlopen(const char *path, int flags)
{
    if (!next_dlopen) {
        find();
    }
    return next_dlopen(path, flags & ~RTLD_DEEPBIND);
}

/* A jump and no call (-O2): the child returns from here too, on the parent's stack. */
pid_t vfork(void)
{
    return libc_vfork();
}
