/* CGI answers; see cgi.h. */
#include "cgi.h"

#include "writer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STATUS_OK = 200, LINE_BYTES = 512 };

static void take_line(const char *body, char *line, size_t room)
{
    char raw[LINE_BYTES];
    body += strspn(body, " \t\r\n");
    size_t n = strcspn(body, "\r\n");
    n = n < sizeof raw ? n : sizeof raw - 1;
    memcpy(raw, body, n);
    raw[n] = '\0';
    text_clean(line, room, raw);
}

int cgi_parse(const char *answer, char *line, size_t room)
{
    static const char status_name[] = "Status:";
    int status = STATUS_OK;
    line[0] = '\0';
    for (;;) {
        size_t n = strcspn(answer, "\n");
        if (!answer[n]) {
            return 0;
        }
        if (n == 0 || (n == 1 && answer[0] == '\r')) {
            take_line(answer + n + 1, line, room);
            return status;
        }
        if (strncasecmp(answer, status_name, sizeof status_name - 1) == 0) {
            status = (int)strtol(answer + sizeof status_name - 1, NULL, 10);
        }
        answer += n + 1;
    }
}
