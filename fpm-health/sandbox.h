/* What the helper gives up for good once it serves, so that whoever should come to run code in it gets little. */
#ifndef FPM_HEALTH_SANDBOX_H
#define FPM_HEALTH_SANDBOX_H

/*
 * Everything is open and the user is who it stays. From now on: no new rights by exec, no capability (but root's, where we
 * serve on as root), no core, nobody of the same user looks into our memory, and the system calls that run programs, look into
 * others or reshape the system fail with EPERM. What the kernel does not know is left out.
 */
void sandbox_enter(void);

#endif
