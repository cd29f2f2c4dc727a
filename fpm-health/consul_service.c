/* Services of Consul and the two queues they wait in; see consul_service.h. */
#define _GNU_SOURCE
#include "consul_service.h"

#include <stdlib.h>
#include <string.h>

void service_leave_queue(struct consul_service *s)
{
    struct consul_list *l = s->queue == QUEUE_READY ? &s->consul->ready : &s->consul->beats;
    if (s->queue == QUEUE_NONE) {
        return;
    }
    *(s->previous ? &s->previous->next : &l->first) = s->next;
    *(s->next ? &s->next->previous : &l->last) = s->previous;
    s->next = s->previous = NULL;
    s->queue = QUEUE_NONE;
}

/* Puts `s` behind `after`, or first where that is NULL. */
static void enter_queue(struct consul_service *s, enum consul_queue queue, struct consul_service *after)
{
    struct consul_list *l = queue == QUEUE_READY ? &s->consul->ready : &s->consul->beats;
    s->previous = after;
    s->next = after ? after->next : l->first;
    *(s->next ? &s->next->previous : &l->last) = s;
    *(after ? &after->next : &l->first) = s;
    s->queue = queue;
}

void service_make_ready(struct consul_service *s, bool urgent)
{
    if (s->busy) {
        return; /* looked at again when its request is over */
    }
    service_leave_queue(s);
    enter_queue(s, QUEUE_READY, urgent ? NULL : s->consul->ready.last);
}

void service_await_beat(struct consul_service *s, int64_t due_ms)
{
    struct consul *c = s->consul;
    service_leave_queue(s);
    s->due_ms = due_ms;
    /* intervals are alike: the end is nearly always the place, or the beginning for the helper's own among very many */
    struct consul_service *after = c->beats.first && c->beats.first->due_ms > due_ms ? NULL : c->beats.last;
    while (after && after->due_ms > due_ms) {
        after = after->previous;
    }
    enter_queue(s, QUEUE_BEATS, after);
    if (c->beats.first == s) {
        loop_set(c->loop, &c->beat, due_ms);
    }
}

struct consul_service *service_create(struct consul *c, const char *id)
{
    struct consul_service *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct consul_service){
            .consul = c, .id = strdup(id), .escaped_id = client_escape(id), .news = 1, .elder = c->services};
        if (s->elder) {
            s->elder->younger = s;
        }
        c->services = s;
        if (!s->id || !s->escaped_id) {
            service_forget(s);
            s = NULL;
        }
    }
    return s;
}

void service_forget(struct consul_service *s)
{
    struct consul *c = s->consul;
    service_leave_queue(s);
    if (s == &c->own) {
        return;
    }
    free(s->id);
    client_free(s->escaped_id);
    free(s->body);
    *(s->younger ? &s->younger->elder : &c->services) = s->elder;
    if (s->elder) {
        s->elder->younger = s->younger;
    }
    free(s);
}
