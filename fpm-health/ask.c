/* Asking a helper; see ask.h. */
#define _GNU_SOURCE
#include "ask.h"

#include "bounds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval timeout = {CLI_TIMEOUT_MS / 1000, 0};
    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == -1) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Reads to the end. NULL with errno. */
static char *read_all(int fd)
{
    size_t length = 0, room = 8192;
    char *text = malloc(room);
    while (text) {
        ssize_t n = read(fd, text + length, room - 1 - length);
        if (n == 0) {
            text[length] = '\0';
            return text;
        }
        length += n > 0 ? (size_t)n : 0;
        bool full = length + 1 == room;
        char *grown = n > 0 && full && room < CLI_ANSWER_MAX_BYTES ? realloc(text, room * 2) : NULL;
        if (grown) {
            text = grown;
            room *= 2;
        } else if (n == -1 || full) {
            break;
        }
    }
    free(text);
    return NULL;
}

int ask(const char *socket_path, const char *method, const char *path, char **body)
{
    char request[1024];
    int status = -1;
    *body = NULL;
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nConnection: close\r\n\r\n", method, path);
    if (n < 0 || (size_t)n >= sizeof request) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = connect_to(socket_path);
    if (fd == -1) {
        return -1;
    }
    char *answer = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n ? read_all(fd) : NULL;
    close(fd);
    char *empty_line = answer ? strstr(answer, "\r\n\r\n") : NULL;
    if (empty_line && sscanf(answer, "HTTP/1.1 %d", &status) == 1) {
        *body = strdup(empty_line + 4);
    } else if (answer) {
        errno = EPROTO;
    }
    free(answer);
    return *body ? status : -1;
}
