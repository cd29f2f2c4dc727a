/*
 * A line for whoever runs FPM, on stderr: FPM writes its own there until it has a log, and then makes stderr that log. Not
 * by PHP's error handling, which shows what is said at start to nobody where there is no php.ini.
 */
#ifndef SVCREG_SAY_H
#define SVCREG_SAY_H

/* "svcreg: " and a level come before the text, a newline behind it. Fit for a signal handler: no allocation, no clock. */
__attribute__((format(printf, 1, 2))) void say_notice(const char *format, ...);
__attribute__((format(printf, 1, 2))) void say_warning(const char *format, ...);

#endif
