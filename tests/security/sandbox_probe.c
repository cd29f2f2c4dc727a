/* Enters the helper's sandbox and tries what has to be refused there: a line "NAME ERRNO" each. */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *name, long result)
{
    printf("%s %s\n", name, result == -1 ? strerrorname_np(errno) : "done");
}

int main(void)
{
    char *const nothing[] = {NULL};
    sandbox_enter();
    say("execve", execve("/bin/true", nothing, nothing));
    say("execveat", syscall(SYS_execveat, -100, "/bin/true", nothing, nothing, 0));
    say("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    say("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
    say("unshare", unshare(CLONE_NEWUSER));
    say("mount", syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL));
    say("bpf", syscall(SYS_bpf, 0, NULL, 0));
    say("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    say("io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
#ifdef __x86_64__
    say("x32", syscall(0x40000000 | SYS_getpid));
#endif
    say("getpid", getpid());
    return 0;
}
