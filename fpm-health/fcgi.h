/* The little of FastCGI that a probe needs: one request without a body, and its answer's records. Pure. */
#ifndef FPM_HEALTH_FCGI_H
#define FPM_HEALTH_FCGI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FCGI_HEADER_BYTES = 8 };
enum fcgi_type { FCGI_BEGIN = 1, FCGI_ABORT, FCGI_END, FCGI_PARAMS, FCGI_STDIN, FCGI_STDOUT, FCGI_STDERR };

struct fcgi_pair {
    const char *name, *value;
};

struct fcgi_record {
    enum fcgi_type type;
    const unsigned char *content; /* in the caller's bytes */
    size_t length;
    uint32_t app_status;     /* of an END */
    uint8_t protocol_status; /* of an END; 0: the request was answered */
};

/* Writes a whole request: BEGIN (responder, closes after it), PARAMS, empty STDIN. Returns its length, 0 when it does not fit. */
size_t fcgi_request(unsigned char *out, size_t room, const struct fcgi_pair *pairs, size_t count);

/* Reads one record of request 1. Returns bytes taken, 0 when more are needed, -1 when it is no such record. */
ssize_t fcgi_parse(const unsigned char *bytes, size_t length, struct fcgi_record *record);

#endif
