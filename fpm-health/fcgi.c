/* FastCGI records; see fcgi.h. */
#include "fcgi.h"

#include <string.h>

enum { VERSION = 1, REQUEST_ID = 1, RESPONDER = 1, CONTENT_MAX_BYTES = 65535, SHORT_LENGTH_MAX = 127 };

static void header(unsigned char *out, enum fcgi_type type, size_t content_bytes)
{
    out[0] = VERSION;
    out[1] = (unsigned char)type;
    out[2] = 0;
    out[3] = REQUEST_ID;
    out[4] = (unsigned char)(content_bytes >> 8);
    out[5] = (unsigned char)content_bytes;
    out[6] = out[7] = 0;
}

static size_t put_length(unsigned char *out, size_t n)
{
    if (n <= SHORT_LENGTH_MAX) {
        out[0] = (unsigned char)n;
        return 1;
    }
    out[0] = (unsigned char)(n >> 24 | 0x80);
    out[1] = (unsigned char)(n >> 16);
    out[2] = (unsigned char)(n >> 8);
    out[3] = (unsigned char)n;
    return 4;
}

size_t fcgi_request(unsigned char *out, size_t room, const struct fcgi_pair *pairs, size_t count)
{
    enum { LENGTHS_MAX_BYTES = 8, FRAME_BYTES = 5 * FCGI_HEADER_BYTES };
    size_t content = 0;
    for (size_t i = 0; i < count; i++) {
        content += LENGTHS_MAX_BYTES + strlen(pairs[i].name) + strlen(pairs[i].value);
    }
    if (content > CONTENT_MAX_BYTES || content + FRAME_BYTES > room) {
        return 0;
    }
    unsigned char *at = out;
    header(at, FCGI_BEGIN, 8);
    memcpy(at + FCGI_HEADER_BYTES, (unsigned char[8]){0, RESPONDER}, 8);
    at += 2 * FCGI_HEADER_BYTES;

    unsigned char *params = at;
    at += FCGI_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        size_t name = strlen(pairs[i].name), value = strlen(pairs[i].value);
        at += put_length(at, name);
        at += put_length(at, value);
        memcpy(at, pairs[i].name, name);
        memcpy(at + name, pairs[i].value, value);
        at += name + value;
    }
    header(params, FCGI_PARAMS, (size_t)(at - params) - FCGI_HEADER_BYTES);
    header(at, FCGI_PARAMS, 0);
    header(at + FCGI_HEADER_BYTES, FCGI_STDIN, 0);
    return (size_t)(at - out) + 2 * FCGI_HEADER_BYTES;
}

ssize_t fcgi_parse(const unsigned char *bytes, size_t length, struct fcgi_record *record)
{
    /* what is there of the header is checked at once: garbage is refused by its first byte, not awaited to its end */
    if ((length > 0 && bytes[0] != VERSION) || (length > 1 && (bytes[1] < FCGI_END || bytes[1] > FCGI_STDERR)) ||
        (length > 3 && (bytes[2] != 0 || bytes[3] != REQUEST_ID))) {
        return -1;
    }
    if (length < FCGI_HEADER_BYTES) {
        return 0;
    }
    size_t content = (size_t)bytes[4] << 8 | bytes[5];
    size_t whole = FCGI_HEADER_BYTES + content + bytes[6];
    *record =
        (struct fcgi_record){.type = (enum fcgi_type)bytes[1], .content = bytes + FCGI_HEADER_BYTES, .length = content};
    if (record->type == FCGI_END && content < 8) {
        return -1;
    }
    if (length < whole) {
        return 0;
    }
    if (record->type == FCGI_END) {
        const unsigned char *c = record->content;
        record->app_status = (uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3];
        record->protocol_status = c[4];
    }
    return (ssize_t)whole;
}
