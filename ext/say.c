#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

__attribute__((format(printf, 2, 0))) static void say(const char *level, const char *format, va_list arguments)
{
    int saved = errno;
    char text[LINE_BYTES - 64], line[LINE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    int n = snprintf(line, sizeof line, "%s: svcreg: %s\n", level, text);
    if (write(STDERR_FILENO, line, (size_t)n) == -1) {
        /* nobody listens */
    }
    errno = saved;
}

void say_notice(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("NOTICE", format, arguments);
    va_end(arguments);
}

void say_warning(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("WARNING", format, arguments);
    va_end(arguments);
}
