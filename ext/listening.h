/*
 * FPM's listening sockets, at the end of a stop. FPM closes them while somebody may just be connecting: whom the kernel has taken
 * and no worker has yet is reset, and has lost what he sent, be it a POST that nobody may send again. So for a last moment the
 * door is shut first: the SYN of a newcomer is dropped, who is refused when he tries again, or tries elsewhere, having sent
 * nothing; and the workers, who still serve, take those who wait inside. That is for TCP: a unix socket has no such door.
 */
#ifndef SVCREG_LISTENING_H
#define SVCREG_LISTENING_H

#include <stdbool.h>

/* The first descriptor from `fd` on that listens; -1: none. Looks at no /proc, which a chroot may not have. */
int listening_from(int fd);

/* Shuts the door of each. There is no way back. */
void listening_shut(void);

/* Whether nobody waits to be accepted. */
bool listening_empty(void);

#endif
