/* What went wrong with a request that got no answer, in words that name what to look at; libcurl's own where those are clear. */
#ifndef FPM_HEALTH_CLIENT_WORDS_H
#define FPM_HEALTH_CLIENT_WORDS_H

#include <curl/curl.h>
#include <stddef.h>

struct client_files {
    const char *ca_cert, *client_cert, *client_key; /* NULL: not set */
};

/* `easy` has just failed with `code`, about which libcurl says `text`. */
void client_words(
    CURL *easy, CURLcode code, const char *text, const struct client_files *files, char *out, size_t room);

#endif
