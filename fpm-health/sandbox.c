/* Least privilege; see sandbox.h. */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) /* its leak check traces the process from a child */
enum { TRACEABLE = 1 };
#else
enum { TRACEABLE = 0 };
#endif

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

enum { X32_BIT = 0x40000000 }; /* x86-64's second set of numbers for the same calls */

/* Nothing of ours, libcurl's or libc's needs them after the start; threads (libcurl's resolver) stay possible. */
static const uint32_t denied[] = {SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_kcmp, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_bpf, SYS_perf_event_open,
    SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_init_module, SYS_finit_module, SYS_kexec_load,
    SYS_open_by_handle_at, SYS_personality, SYS_io_uring_setup, SYS_pidfd_getfd};

enum { DENIED = sizeof denied / sizeof *denied, HEAD = 4, LENGTH = HEAD + DENIED + 2 };

#ifdef OWN_ARCH
static void filter_calls(void)
{
    struct sock_filter code[LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 0, LENGTH - 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, LENGTH - 5, 0),
        [LENGTH - 2] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        [LENGTH - 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    for (int i = 0; i < DENIED; i++) {
        uint8_t to_refusal = (uint8_t)(DENIED - i); /* over the rest of the list, and the line that allows */
        code[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i], to_refusal, 0);
    }
    struct sock_fprog program = {LENGTH, code};
    /* without SPEC_ALLOW, kernels before 5.16 would make all of our code slower with each filter */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == -1) {
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    }
}
#else
static void filter_calls(void)
{
}
#endif

static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (geteuid() != 0) { /* an ambient one, of who started us */
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        syscall(SYS_capset, &head, none);
    }
}

void sandbox_enter(void)
{
    drop_capabilities();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!TRACEABLE) {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        filter_calls();
    }
}
