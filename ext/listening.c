/* See listening.h. */
#include "listening.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { MAX_FD_LOOKED_AT = 65536 };

int listening_from(int fd)
{
    for (; fd < MAX_FD_LOOKED_AT; fd++) {
        int listening = 0;
        socklen_t length = sizeof listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening) {
            return fd;
        }
    }
    return -1;
}

void listening_shut(void)
{
    enum { FLAGS_AT = 13, SYN = 0x02, ACK = 0x10 };
    /* a handshake that has begun may end: only its first packet is without ACK */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS_AT),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    for (int fd = listening_from(0); fd != -1; fd = listening_from(fd + 1)) {
        int protocol = 0;
        socklen_t length = sizeof protocol;
        if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_TCP) {
            setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
        }
    }
}

bool listening_empty(void)
{
    for (int fd = listening_from(0); fd != -1; fd = listening_from(fd + 1)) {
        struct tcp_info info;
        socklen_t length = sizeof info;
        /* of a listening socket this is the length of its queue */
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_unacked > 0) {
            return false;
        }
    }
    return true;
}
