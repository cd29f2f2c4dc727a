/* A script's answer in CGI form: its status, and its first line for people. Pure. */
#ifndef FPM_HEALTH_CGI_H
#define FPM_HEALTH_CGI_H

#include <stddef.h>

/*
 * Reads headers and the beginning of a body, ended by NUL. Returns the status, 200 where no header names one, 0 where the
 * headers have no end. `line` takes the body's first line that is not blank, clean and cut; empty where there is none.
 */
int cgi_parse(const char *answer, char *line, size_t room);

#endif
