/* The log: `[time] LEVEL: svcreg: text`, to stderr, syslog or a file that may be rotated away under us. */
#ifndef FPM_HEALTH_LOG_H
#define FPM_HEALTH_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_NOTICE, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* `to` is "stderr", "syslog" or a path; `level` a word of log_level_parse(). A file that can't be opened: stderr, with a line that says so. */
void log_open(const char *to, enum log_level level);

/* "debug", "notice", "warning", "error". Returns false for other words. */
bool log_level_parse(const char *word, enum log_level *level);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
