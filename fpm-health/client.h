/* HTTP requests to Consul: libcurl's multi interface in our loop, connections reused, a bounded number in flight. */
#ifndef FPM_HEALTH_CLIENT_H
#define FPM_HEALTH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "bounds.h"
#include "config.h"
#include "loop.h"

struct client;

struct client_answer {
    int status;        /* HTTP; 0: none came, see `error` */
    const char *error; /* libcurl's words; empty when an answer came */
    const char *body;  /* ended by NUL; gone after the callback */
    size_t body_length;
    const char *local_ip; /* ours on that connection; "" when unknown */
    double seconds;
};

typedef void client_done(void *context, const struct client_answer *answer);

/* `config` is read now and not kept. NULL: out of memory, or libcurl can't take the settings. */
struct client *client_create(struct loop *loop, const struct consul_config *config);
void client_destroy(struct client *client);

/* Reads the token file while we are still root, for a user who may not; a later change of the file needs that user's own right. */
void client_read_token_early(const struct consul_config *config);

/*
 * Sends `method` with `body`, without one where that is NULL. `path` begins with '/'. The body is copied. `done` is called once,
 * unless client_cancel() comes first. Returns 0, or -1: all places taken or out of memory.
 */
int client_send(
    struct client *client, const char *method, const char *path, const char *body, client_done *done, void *context);

/* Reads the token file again if it has changed. True: from now on requests carry another token. */
bool client_token_changed(struct client *client);

/* Forgets every request in flight, without calling `done`. */
void client_cancel(struct client *client);

int client_in_flight(const struct client *client);

/* The URL for people: without user and password. */
const char *client_url(const struct client *client);

/* Escapes one segment of a path. The caller frees it with client_free(). NULL: out of memory. */
char *client_escape(const char *segment);
void client_free(char *text);

#endif
