/*
 * What a service manager is told: sd_notify(3), which is one datagram to the socket that NOTIFY_SOCKET names. Only the
 * stand-alone daemon speaks: a helper's NOTIFY_SOCKET is FPM's.
 */
#ifndef FPM_HEALTH_NOTIFY_H
#define FPM_HEALTH_NOTIFY_H

#include "instance.h"
#include "loop.h"

/* Takes NOTIFY_SOCKET and WATCHDOG_USEC out of the environment; from now on the loop's turning feeds the watchdog. Without them all is silent. */
void notify_init(struct loop *loop);
void notify_fini(void);

void notify_ready(void); /* serving, or serving again after notify_reloading() */
void notify_reloading(void);
void notify_stopping(void);

/* One line for `systemctl status`: how many pools are in which state, Consul, and what is wrong. Sent when it has changed. */
void notify_status(const struct instance *instance);

#endif
