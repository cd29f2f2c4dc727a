/* Text into the caller's memory, cut where that ends: `length` goes on counting, so a caller can make room and repeat. */
#ifndef FPM_HEALTH_WRITER_H
#define FPM_HEALTH_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct writer {
    char *bytes; /* the caller's; not ended by NUL */
    size_t room;
    size_t length; /* what all of it takes; more than room: it was cut */
};

static inline bool writer_cut(const struct writer *w)
{
    return w->length > w->room;
}

/* Inline, as the next is: most of what is written are short constants, a few bytes each. */
static inline void writer_add(struct writer *w, const void *bytes, size_t n)
{
    size_t left = w->length < w->room ? w->room - w->length : 0;
    if (n <= left) {
        memcpy(w->bytes + w->length, bytes, n);
    } else if (left) {
        memcpy(w->bytes + w->length, bytes, left);
    }
    w->length += n;
}

static inline void writer_text(struct writer *w, const char *s)
{
    writer_add(w, s, strlen(s));
}

/* Once more the `n` bytes that stand at `from`; where they were cut, they are only counted. */
static inline void writer_again(struct writer *w, size_t from, size_t n)
{
    if (from + n <= w->room) {
        writer_add(w, w->bytes + from, n);
    } else {
        w->length += n;
    }
}

void writer_format(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Decimal digits; many times as quick as writer_format(), for what is written in thousands of lines. */
void writer_number(struct writer *w, uint64_t n);

/* `s` as a JSON string, in its quotes. Bytes that are no valid UTF-8 become '?'. */
void writer_json(struct writer *w, const char *s);

/* `s` inside a Prometheus label's quotes. */
void writer_label(struct writer *w, const char *s);

/* Copies `s` into `out`, cut to what fits, with everything but printable ASCII and valid UTF-8 replaced by '?': fit for logs, headers and Consul. */
void text_clean(char *out, size_t room, const char *s);

/* How many bytes the UTF-8 character at `s` has, 0 where there is none. Never reads past a NUL. */
size_t utf8_length(const char *s);

#endif
