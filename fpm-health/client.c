/* The HTTP client; see client.h. */
#define _GNU_SOURCE
#include "client.h"

#include "client_words.h"
#include "log.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct exchange {
    CURL *easy; /* kept from request to request, and with it the connection */
    bool busy;
    struct client *client;
    struct curl_slist *headers; /* kept too, while the token is the same */
    uint32_t token_number;      /* of the token in them */
    client_done *done;
    void *context;
    char *body; /* the answer's, grown as needed */
    size_t length, room, most;
    bool too_long;
    char error[CURL_ERROR_SIZE];
};

/* One fd that libcurl wants watched. */
struct watched {
    struct loop_io io;
    struct client *client;
};

struct client {
    struct loop *loop;
    struct loop_timer timer;
    CURLM *multi;
    struct exchange exchanges[CONSUL_IN_FLIGHT];
    int in_flight;
    char *base, *shown, *socket_path, *query; /* query: "?ns=…&partition=…" or "" */
    char *token_file, *ca_cert, *client_cert, *client_key;
    bool verify;
    char *token; /* never logged; wiped when replaced */
    struct timespec token_time;
    uint32_t token_number; /* how many there were */
};

static void collect(struct client *c);

static void on_timer(struct loop_timer *timer)
{
    struct client *c = container_of(timer, struct client, timer);
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct client *c = context;
    if (timeout_ms < 0) {
        loop_clear(c->loop, &c->timer);
    } else {
        loop_set(c->loop, &c->timer, loop_clock_ms() + timeout_ms);
    }
    return 0;
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct watched *w = container_of(io, struct watched, io);
    struct client *c = w->client; /* `w` may be freed by what follows */
    int running, mask = 0;
    mask |= events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
    mask |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    mask |= events & EPOLLERR ? CURL_CSELECT_ERR : 0;
    curl_multi_socket_action(c->multi, io->fd, mask, &running);
    collect(c);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    (void)easy;
    struct client *c = context;
    struct watched *w = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            loop_remove(c->loop, &w->io);
            free(w);
            curl_multi_assign(c->multi, fd, NULL);
        }
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (w) {
        return loop_change(c->loop, &w->io, events);
    }
    w = calloc(1, sizeof *w);
    if (!w) {
        return -1;
    }
    *w = (struct watched){.io = {fd, on_ready}, .client = c};
    if (loop_add(c->loop, &w->io, events) == -1) {
        free(w);
        return -1;
    }
    curl_multi_assign(c->multi, fd, w);
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    size_t n = size * count;
    if (x->length + n > x->most) {
        x->too_long = true;
        return 0;
    }
    if (x->length + n + 1 > x->room) {
        size_t twice = (x->length + n + 1) * 2, room = twice < x->most ? twice : x->most + 1;
        char *grown = realloc(x->body, room);
        if (!grown) {
            return 0;
        }
        x->body = grown;
        x->room = room;
    }
    memcpy(x->body + x->length, bytes, n);
    x->length += n;
    x->body[x->length] = '\0';
    return n;
}

static void release(struct exchange *x)
{
    curl_multi_remove_handle(x->client->multi, x->easy);
    free(x->body);
    x->body = NULL;
    x->length = x->room = 0;
    x->busy = false;
    x->client->in_flight--;
}

static void finish(struct exchange *x, CURLcode code)
{
    long status = 0;
    char *local_ip = NULL;
    char error[CURL_ERROR_SIZE] = "";
    struct client_answer answer = {.error = error};
    if (code == CURLE_OK) {
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    } else {
        const struct client *c = x->client;
        struct client_files files = {c->ca_cert, c->client_cert, c->client_key};
        const char *text = x->too_long ? "the answer is too long" : x->error;
        client_words(x->easy, code, text, &files, error, sizeof error);
    }
    curl_easy_getinfo(x->easy, CURLINFO_LOCAL_IP, &local_ip);
    curl_easy_getinfo(x->easy, CURLINFO_TOTAL_TIME, &answer.seconds);
    char ip[64];
    snprintf(ip, sizeof ip, "%s", local_ip ? local_ip : "");
    char *body = x->body;
    answer.status = (int)status;
    answer.body = body ? body : "";
    answer.body_length = x->length;
    answer.local_ip = ip;
    x->body = NULL; /* ours until the callback is over, and the place free for what it sends */
    client_done *done = x->done;
    void *context = x->context;
    release(x);
    done(context, &answer);
    free(body);
}

static void collect(struct client *c)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(c->multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            struct exchange *x = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&x);
            finish(x, message->data.result);
        }
    }
}

static char early_token[TOKEN_MAX_BYTES]; /* see client_read_token_early() */

static void replace_token(struct client *c, const char *token, size_t length)
{
    if (c->token) {
        explicit_bzero(c->token, strlen(c->token));
        free(c->token);
    }
    c->token = length ? strndup(token, length) : NULL;
    c->token_number++;
}

/* The file's first word, ended by NUL. Returns false when it can't be read. */
static bool read_token(const char *file, char out[static TOKEN_MAX_BYTES])
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, out, TOKEN_MAX_BYTES - 1);
    if (fd != -1) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, " \t\r\n")] = '\0';
    return n >= 0;
}

static const char *token_file(const struct consul_config *config)
{
    return config->token_file[0] ? config->token_file : getenv("CONSUL_HTTP_TOKEN_FILE");
}

void client_read_token_early(const struct consul_config *config)
{
    const char *file = token_file(config);
    if (file && *file) {
        read_token(file, early_token);
    }
}

/* A token file that changed is read anew; one that can't be read, or is being written, leaves what we have. */
bool client_token_changed(struct client *c)
{
    struct stat st;
    if (!c->token_file || stat(c->token_file, &st) == -1 ||
        (st.st_mtim.tv_sec == c->token_time.tv_sec && st.st_mtim.tv_nsec == c->token_time.tv_nsec)) {
        return false;
    }
    char text[TOKEN_MAX_BYTES];
    bool read = read_token(c->token_file, text) && text[0];
    bool changed = read && (!c->token || strcmp(c->token, text) != 0);
    if (changed) {
        replace_token(c, text, strlen(text));
    }
    if (read) {
        c->token_time = st.st_mtim;
    }
    explicit_bzero(text, sizeof text);
    return changed;
}

/* The exchange's own: one in flight must not lose them to another that has a newer token. */
static void prepare_headers(const struct client *c, struct exchange *x)
{
    if (x->headers && x->token_number == c->token_number) {
        return;
    }
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    if (c->token) {
        char line[TOKEN_MAX_BYTES + 32];
        snprintf(line, sizeof line, "X-Consul-Token: %s", c->token);
        struct curl_slist *longer = curl_slist_append(list, line);
        explicit_bzero(line, sizeof line);
        list = longer ? longer : list;
    }
    curl_slist_free_all(x->headers);
    x->headers = list;
    x->token_number = c->token_number;
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, list);
}

static CURL *prepare(struct client *c, struct exchange *x)
{
    CURL *e = curl_easy_init();
    if (!e) {
        return NULL;
    }
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* the agent is next door: no proxy from the environment */
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONSUL_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)CONSUL_NAME_S);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)CONSUL_TIMEOUT_MS);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "fpm-health/" SVCREG_VERSION);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(
        e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* a connection for each in flight will do */
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a resolver's thread must not hold us at the end */
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, (long)c->verify);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, c->verify ? 2L : 0L);
    if (c->socket_path) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->socket_path);
    }
    if (c->ca_cert) {
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_cert);
    }
    if (c->client_cert) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, c->client_cert);
        curl_easy_setopt(e, CURLOPT_SSLKEY, c->client_key ? c->client_key : c->client_cert);
    }
    return e;
}

static struct exchange *free_exchange(struct client *c)
{
    for (int i = 0; i < CONSUL_IN_FLIGHT; i++) {
        struct exchange *x = &c->exchanges[i];
        if (!x->busy) {
            x->client = c;
            x->easy = x->easy ? x->easy : prepare(c, x);
            return x->easy ? x : NULL;
        }
    }
    return NULL;
}

int client_send(
    struct client *c, const char *method, const char *path, const char *body, client_done *done, void *context)
{
    struct exchange *x = free_exchange(c);
    char *url = NULL;
    bool more = c->query[0] && strchr(path, '?');
    if (!x || asprintf(&url, "%s%s%s%s", c->base, path, more ? "&" : "", c->query + more) == -1) {
        return -1;
    }
    prepare_headers(c, x);
    x->done = done;
    x->context = context;
    x->error[0] = '\0';
    curl_easy_setopt(x->easy, CURLOPT_URL, url);
    free(url);
    if (body) {
        curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(x->easy, CURLOPT_COPYPOSTFIELDS, body);
    } else {
        curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, method);
    x->most = strcmp(method, "PUT") == 0 ? CONSUL_TAKEN_MAX_BYTES : CONSUL_ANSWER_MAX_BYTES;
    x->too_long = false;
    x->busy = true;
    c->in_flight++;
    if (curl_multi_add_handle(c->multi, x->easy) != CURLM_OK) {
        release(x);
        return -1;
    }
    return 0;
}

void client_cancel(struct client *c)
{
    for (int i = 0; i < CONSUL_IN_FLIGHT; i++) {
        if (c->exchanges[i].busy) {
            release(&c->exchanges[i]);
        }
    }
}

int client_in_flight(const struct client *c)
{
    return c->in_flight;
}

const char *client_url(const struct client *c)
{
    return c->shown;
}

static char *copy(const char *text)
{
    return text && text[0] ? strdup(text) : NULL;
}

/* Splits the URL into what libcurl gets and what people may see. */
static int take_url(struct client *c, const char *url)
{
    if (strncmp(url, "unix://", 7) == 0) {
        c->socket_path = strdup(url + 7);
        c->base = strdup("http://localhost");
        c->shown = strdup(url);
        return c->socket_path && c->base && c->shown ? 0 : -1;
    }
    char *full = NULL;
    if (asprintf(&full, "%s%s", strstr(url, "://") ? "" : "http://", url) == -1) {
        return -1;
    }
    size_t n = strlen(full);
    while (n && full[n - 1] == '/') {
        full[--n] = '\0';
    }
    c->base = full;
    const char *host = strstr(full, "://") + 3;
    const char *at = memrchr(host, '@', strcspn(host, "/"));
    if (asprintf(&c->shown, "%.*s%s", (int)(host - full), full, at ? at + 1 : host) == -1) {
        c->shown = NULL;
    }
    return c->shown ? 0 : -1;
}

static int take_query(struct client *c, const struct consul_config *config)
{
    char *ns = client_escape(config->namespace), *partition = client_escape(config->partition);
    int n = !ns || !partition ? -1
                              : asprintf(&c->query, "%s%s%s%s%s", *ns || *partition ? "?" : "", *ns ? "ns=" : "", ns,
                                    *partition ? (*ns ? "&partition=" : "partition=") : "", partition);
    client_free(ns);
    client_free(partition);
    return n == -1 ? -1 : 0;
}

static void take_token(struct client *c, const struct consul_config *config)
{
    const char *token = getenv("CONSUL_HTTP_TOKEN");
    c->token_file = copy(token_file(config));
    if (c->token_file) {
        replace_token(c, early_token, strlen(early_token));
        client_token_changed(c);
    } else if (token && strlen(token) < TOKEN_MAX_BYTES) {
        replace_token(c, token, strlen(token));
    }
}

struct client *client_create(struct loop *loop, const struct consul_config *config)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->loop = loop;
    c->timer.fire = on_timer;
    c->verify = config->verify;
    c->ca_cert = copy(config->ca_cert);
    c->client_cert = copy(config->client_cert);
    c->client_key = copy(config->client_key);
    if (take_url(c, config->url) == -1 || take_query(c, config) == -1 ||
        curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = curl_multi_init())) {
        client_destroy(c);
        return NULL;
    }
    take_token(c, config);
    if (!c->verify && strncasecmp(c->base, "https:", 6) == 0) {
        log_warning("consul %s: its certificate is not verified, as configured", c->shown);
    }
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONSUL_IN_FLIGHT);
    return c;
}

void client_destroy(struct client *c)
{
    if (!c) {
        return;
    }
    if (c->multi) {
        client_cancel(c);
        for (int i = 0; i < CONSUL_IN_FLIGHT; i++) {
            curl_easy_cleanup(c->exchanges[i].easy);
            curl_slist_free_all(c->exchanges[i].headers);
        }
        curl_multi_cleanup(c->multi);
        curl_global_cleanup();
    }
    loop_clear(c->loop, &c->timer);
    replace_token(c, "", 0);
    free(c->base);
    free(c->shown);
    free(c->socket_path);
    free(c->query);
    free(c->token_file);
    free(c->ca_cert);
    free(c->client_cert);
    free(c->client_key);
    free(c);
}

char *client_escape(const char *segment)
{
    return curl_easy_escape(NULL, segment, 0);
}

void client_free(char *text)
{
    curl_free(text);
}
