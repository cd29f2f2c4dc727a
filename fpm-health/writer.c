/* Bounded text; see writer.h. */
#define _GNU_SOURCE
#include "writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void writer_format(struct writer *w, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n > 0) {
        writer_add(w, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    }
}

void writer_number(struct writer *w, uint64_t n)
{
    char digits[20], *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    writer_add(w, at, (size_t)(digits + sizeof digits - at));
}

size_t utf8_length(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = u[0] < 0x80 ? (u[0] != 0) : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xf0 && u[1] < 0x90);
    bool outside = (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf4 && u[1] > 0x8f);
    return n > 1 && (overlong || outside) ? 0 : n;
}

void writer_json(struct writer *w, const char *s)
{
    writer_add(w, "\"", 1);
    while (*s) {
        size_t plain = 0;
        while (s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\') {
            plain++;
        }
        writer_add(w, s, plain);
        s += plain;
        if (!*s) {
            break;
        }
        size_t n = utf8_length(s);
        if (*s == '"' || *s == '\\') {
            writer_add(w, "\\", 1);
            writer_add(w, s, 1);
        } else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            writer_format(w, "\\u%04x", (unsigned)*s);
        } else {
            writer_add(w, n ? s : "?", n ? n : 1);
        }
        s += n ? n : 1;
    }
    writer_add(w, "\"", 1);
}

void writer_label(struct writer *w, const char *s)
{
    for (;;) {
        size_t plain = strcspn(s, "\\\"\n");
        writer_add(w, s, plain);
        s += plain;
        if (!*s) {
            return;
        }
        writer_add(w, *s == '\n' ? "\\n" : *s == '"' ? "\\\"" : "\\\\", 2);
        s++;
    }
}

void text_clean(char *out, size_t room, const char *s)
{
    size_t at = 0;
    while (*s) {
        size_t n = utf8_length(s);
        bool printable = n > 1 || (*s >= ' ' && *s < 0x7f);
        size_t step = n ? n : 1;
        if (at + step >= room) {
            break;
        }
        memcpy(out + at, printable ? s : "?", printable ? step : 1);
        at += printable ? step : 1;
        s += step;
    }
    out[at] = '\0';
}
