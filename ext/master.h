/*
 * The master's side: at start the pools, the board and the helper, at the end the hand-over or the deregistration. What
 * lies between is in master_signals.c: after start nothing of svcreg is in FPM's way.
 */
#ifndef SVCREG_MASTER_H
#define SVCREG_MASTER_H

#include "board.h"
#include "fpm_args.h"
#include "fpm_config.h"
#include "identity.h"

/* In MINIT of an FPM that will serve. Reads the pools, lays the board out, starts the helper. What fails is logged. */
void master_start(const struct fpm_args *args);

/* In MSHUTDOWN of any process: hands the board on to the next exec, or waits (bounded) for the deregistration. */
void master_stop(void);

/* What was read at start, for svcreg_status(); NULL where svcreg does nothing. */
const struct fpm_config *master_config(void);
const struct board *master_board(void);
const struct master_identity *master_identity(void);

#endif
