/* See client_words.h. TLS libraries differ in their words, and GnuTLS names neither file nor certificate. */
#include "client_words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* The first file that can't be read. */
static bool find_unreadable(const struct client_files *f, char *out, size_t room)
{
    const struct {
        const char *key, *path;
    } all[] = {{"ca_cert", f->ca_cert}, {"client_cert", f->client_cert}, {"client_key", f->client_key}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].path && access(all[i].path, R_OK) == -1) {
            snprintf(out, room, "%s %s: %s", all[i].key, all[i].path, strerror(errno));
            return true;
        }
    }
    return false;
}

/* In TLS 1.3 a server looks at our certificate when the handshake is over for us, or nearly: then it just hangs up. */
static bool hung_up(CURL *easy, CURLcode code, const char *text)
{
    curl_off_t agreed_us = 0;
    curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &agreed_us);
    bool late = agreed_us > 0 && code != CURLE_OPERATION_TIMEDOUT && code != CURLE_WRITE_ERROR;
    return late || (code == CURLE_SSL_CONNECT_ERROR && strstr(text, " failure: "));
}

static bool is_tls(CURL *easy)
{
    const char *scheme = NULL;
    curl_easy_getinfo(easy, CURLINFO_SCHEME, &scheme);
    return scheme && strcasecmp(scheme, "https") == 0;
}

void client_words(CURL *easy, CURLcode code, const char *text, const struct client_files *f, char *out, size_t room)
{
    bool file_trouble = code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM ||
        code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
    if (file_trouble && find_unreadable(f, out, room)) {
        return;
    }
    if (!is_tls(easy) || !hung_up(easy, code, text)) {
        snprintf(out, room, "%s", text[0] ? text : curl_easy_strerror(code));
    } else if (f->client_cert) {
        snprintf(out, room, "TLS: hung up on us; perhaps it does not know the CA of client_cert %s", f->client_cert);
    } else {
        snprintf(out, room, "TLS: hung up on us; perhaps it asks for a client_cert, and none is set");
    }
}
