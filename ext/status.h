/* What PHP sees of the verdict: svcreg_status() and phpinfo()'s table, read from the board without asking anybody. */
#ifndef SVCREG_STATUS_H
#define SVCREG_STATUS_H

#include "php.h"

/* Fills `result` with the array of /status (README, "Status"); empty outside FPM. */
void status_array(zval *result);

/* Prints phpinfo()'s rows. */
void status_info(void);

#endif
