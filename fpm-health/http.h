/* The request side of HTTP: 1.1 (also without Host), 1.0 and 0.9. Pure: memory in, values out. */
#ifndef FPM_HEALTH_HTTP_H
#define FPM_HEALTH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_OPTIONS, HTTP_POST, HTTP_OTHER };

enum http_version { HTTP_0_9, HTTP_1_0, HTTP_1_1 };

struct http_request {
    enum http_method method;
    enum http_version version;
    bool keep_alive;  /* what the client wants */
    bool openmetrics; /* Accept names application/openmetrics-text */
    const char *path; /* in the caller's bytes, percent-encoded, without the query */
    size_t path_length;
    const char *query; /* behind the '?'; empty when there is none */
    size_t query_length;
};

/*
 * Reads one request from `length` bytes. Returns how many bytes it took (its body included, which is ignored), 0 when
 * more are needed, or minus the status to answer with before closing: -400 malformed, -413 body too large, -431 head too
 * large, -501 a transfer coding, -505 another major version. Empty lines before a request are part of it.
 */
ssize_t http_parse(const char *bytes, size_t length, struct http_request *request);

/* Undoes percent-encoding into `out`. Returns the new length, or -1: malformed, an encoded NUL, or more than `room`. */
ssize_t http_decode(const char *path, size_t length, char *out, size_t room);

/* Finds `name` in a query string and decodes its value into `out` (ended by NUL). Returns false when it is not there or too long. */
bool http_query(const struct http_request *request, const char *name, char *out, size_t room);

#endif
