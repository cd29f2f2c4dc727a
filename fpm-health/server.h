/* Serves probes over TCP and unix sockets, the agent-check, and control.sock. */
#ifndef FPM_HEALTH_SERVER_H
#define FPM_HEALTH_SERVER_H

#include <sys/types.h>

#include "answers.h"
#include "http.h"
#include "loop.h"
#include "probers.h"
#include "writer.h"

/* What is spoken on a listener. */
enum listener_kind { LISTENER_HTTP, LISTENER_AGENT, LISTENER_CONTROL };

/*
 * Serves a request on control.sock that is no probe. Writes the body and returns the HTTP status, or 0 when the path is
 * none of its own. `context` is server_create()'s.
 */
typedef int control_handler(void *context, const struct http_request *request, struct writer *body);

struct server;

/* NULL: out of memory. `answers` is looked up anew for each batch, so it may be replaced at any time. */
struct server *server_create(struct loop *loop, struct answers **answers, control_handler *control, void *context);
void server_destroy(struct server *server);

/*
 * Listens on `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:/path`. A TCP port that is taken gives the next free one of
 * SERVER_PORT_TRIES. The address in use goes to `shown`. Returns 0, or -1 with errno.
 */
int server_listen(struct server *server, enum listener_kind kind, const char *address, char *shown, size_t room);

/* Who may use control.sock: root, and the processes of `user`. Before this is called, root alone. */
void server_control_of(struct server *server, uid_t user);

/* Closes the listeners of `kind`; connections stay. */
void server_unlisten(struct server *server, enum listener_kind kind);

struct probers *server_probers(struct server *server);

#endif
