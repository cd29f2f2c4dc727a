/*
 * The master between MINIT and MSHUTDOWN: FPM's stop signals, which are held back until the drain is done; the tick, a
 * timer's signal that is armed only while something is awaited and that the helper's end sends too; and the fork hooks, by
 * which a launcher, its daemonized master and a worker know themselves.
 */
#ifndef SVCREG_MASTER_SIGNALS_H
#define SVCREG_MASTER_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* The number of the signal that ticks. */
int signals_tick_number(void);

/* Once a process, when `master` is complete: from here on it lives by itself. Starts the helper if there is none. */
void signals_start(bool daemonize);

/* Gives FPM its handlers back; nothing ticks any more. */
void signals_stop(void);

/* The monotonic clock. */
uint64_t master_now_ms(void);

#endif
