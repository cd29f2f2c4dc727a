/* Heads and bodies; see render.h. */
#define _GNU_SOURCE
#include "render.h"

#include "consul.h"
#include "metrics.h"
#include "page.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 768, POOL_HEAD_BYTES = 224, BODY_BYTES = 32 }; /* room for the head; for a body's growth */

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 505: return "HTTP Version Not Supported";
    default: return "Service Unavailable";
    }
}

static struct subject subject_of(const struct pool *p)
{
    return (struct subject){p->config->name, &p->verdict, &p->sample};
}

static void health_of_all(const struct instance *in, struct writer *w)
{
    const struct pool *worst = instance_worst(in);
    const char *word = !instance_ready(in) ? "fail" : worst->verdict.state == BOARD_HEALTHY ? "pass" : "warn";
    writer_format(w, "{\"status\":\"%s\",\"version\":\"" SVCREG_VERSION "\",\"serviceId\":", word);
    writer_json(w, in->config->node);
    writer_text(w, ",\"checks\":{\"pool:state\":[");
    for (size_t i = 0; i < in->pool_count; i++) {
        struct subject s = subject_of(in->pools[i]);
        writer_text(w, i ? "," : "");
        dialect_health_check(&s, w);
    }
    writer_text(w, "]}}\n");
}

static void lines_of_all(const struct instance *in, struct writer *w)
{
    for (size_t i = 0; i < in->pool_count; i++) {
        writer_text(w, in->pools[i]->config->name);
        writer_text(w, " ");
        dialect_state_line(&in->pools[i]->verdict, w);
        writer_text(w, "\n");
    }
    if (in->pool_count == 0) {
        writer_text(w, "no pools\n");
    }
}

static void metrics_of_all(const struct view *v, bool openmetrics, struct writer *w)
{
    metrics_render(v->in, openmetrics, v->now_ms, w);
    if (*v->consul) {
        consul_metrics(*v->consul, openmetrics, w);
    }
    writer_text(w, openmetrics ? "# EOF\n" : "");
}

static void body_of(const struct view *v, const struct slot *s, struct writer *w)
{
    switch (s->kind) {
    case KIND_LIVE: writer_text(w, instance_live(v->in) ? "live\n" : "not live\n"); break;
    case KIND_READY_ALL:
    case KIND_ROOT: lines_of_all(v->in, w); break;
    case KIND_HEALTH_ALL: health_of_all(v->in, w); break;
    /* cppcheck-suppress comparePointers ; the second is a label at the end of the first, see page.c */
    case KIND_PAGE: writer_add(w, page_html, (size_t)(page_html_end - page_html)); break;
    case KIND_METRICS: metrics_of_all(v, false, w); break;
    case KIND_OPENMETRICS: metrics_of_all(v, true, w); break;
    case KIND_STATUS: status_render(v->in, v->now_ms, w); break;
    case KIND_TREND: trend_render(&s->pool->trend, w); break;
    case KIND_NOT_FOUND:
    case KIND_ERROR: writer_format(w, "%s\n", reason_phrase(s->status)); break;
    default: {
        struct subject subject = subject_of(s->pool);
        dialect_body((enum dialect)s->kind, &subject, w);
    }
    }
}

static int status_of(const struct view *v, const struct slot *s)
{
    switch (s->kind) {
    case KIND_LIVE: return instance_live(v->in) ? 200 : 503;
    case KIND_READY_ALL:
    case KIND_HEALTH_ALL:
    case KIND_ROOT:
    case KIND_PAGE: return instance_ready(v->in) ? 200 : 503;
    case KIND_METRICS:
    case KIND_OPENMETRICS:
    case KIND_STATUS:
    case KIND_TREND: return 200;
    case KIND_NOT_FOUND: return 404;
    case KIND_ERROR: return s->status;
    default: return dialect_status((enum dialect)s->kind, s->pool->verdict.state);
    }
}

static const char *type_of(const struct slot *s)
{
    switch (s->kind) {
    case KIND_HEALTH_ALL: return "application/health+json";
    case KIND_PAGE: return "text/html; charset=utf-8";
    case KIND_STATUS:
    case KIND_TREND: return "application/json";
    case KIND_METRICS: return "text/plain; version=0.0.4; charset=utf-8";
    case KIND_OPENMETRICS: return "application/openmetrics-text; version=1.0.0; charset=utf-8";
    default: return dialect_content_type((enum dialect)s->kind);
    }
}

static const char *headers_of(const struct slot *s)
{
    switch (s->kind) {
    case KIND_PAGE: return page_headers;
    case KIND_ERROR: return s->status == 405 ? "Allow: GET, HEAD, OPTIONS\r\n" : "";
    default:
        return s->kind < (enum kind)DIALECT_POOL_COUNT ? dialect_headers((enum dialect)s->kind, s->pool->verdict.state)
                                                       : "";
    }
}

static bool make_room(struct slot *s, size_t bytes)
{
    char *grown = realloc(s->room, bytes);
    if (grown) {
        s->room = grown;
        s->room_bytes = bytes;
    }
    return grown != NULL;
}

/* The body behind a gap that is wide enough for the head, then the head right before it. */
void render(const struct view *v, struct slot *s)
{
    const size_t gap = s->kind < (enum kind)DIALECT_POOL_COUNT ? POOL_HEAD_BYTES : HEAD_BYTES;
    char head_room[HEAD_BYTES];
    struct writer head = {head_room, gap, 0}, body;
    s->bytes = NULL; /* what was there is written over */
    s->length = s->head_length = 0;
    s->status = status_of(v, s);
    do {
        if (s->room_bytes < gap && !make_room(s, gap + BODY_BYTES)) {
            return;
        }
        body = (struct writer){s->room + gap, s->room_bytes - gap, 0};
        body_of(v, s, &body);
    } while (writer_cut(&body) && make_room(s, gap + body.length + body.length / 8 + BODY_BYTES));
    if (s->kind != (enum kind)DIALECT_AGENT) {
        writer_format(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %zu\r\n",
            s->status, reason_phrase(s->status), type_of(s), body.length);
        writer_text(&head, headers_of(s));
        s->head_length = head.length;
        writer_text(&head, "\r\n");
    }
    if (writer_cut(&body) || writer_cut(&head)) {
        return;
    }
    memcpy(s->room + gap - head.length, head.bytes, head.length);
    s->bytes = s->room + gap - head.length;
    s->length = head.length + body.length;
    s->stale = false;
}
