/* What people and scripts may ask for on control.sock; the verbs of the command line. See helper.h. */
#include "helper.h"

#include "dialect.h"
#include "log.h"

#include <string.h>

enum { NAME_BYTES = 256 };

enum verb { VERB_CHECK, VERB_DRAIN, VERB_UNDRAIN, VERB_MAINT, VERB_NONE };

static enum verb verb_of(const struct http_request *r, const char **rest, size_t *rest_length)
{
    static const char *const words[] = {"/check", "/drain", "/undrain", "/maint"};
    for (int i = 0; i < VERB_NONE; i++) {
        size_t n = strlen(words[i]);
        if (r->path_length >= n && memcmp(r->path, words[i], n) == 0 && (r->path_length == n || r->path[n] == '/')) {
            *rest = r->path + n + (r->path_length > n);
            *rest_length = r->path_length - n - (r->path_length > n);
            return (enum verb)i;
        }
    }
    return VERB_NONE;
}

void helper_remember_control(struct helper *h, struct pool *p)
{
    bool fits = sampler_board_fits(&h->in, &h->board);
    struct board_pool_info *info = fits ? board_info(&h->board, p->index) : NULL;
    p->unremembered = helper_has_board(h) && !info;
    if (info) {
        info->drain = p->sample.drain;
        info->maintenance = p->sample.maintenance;
        board_text_set(&info->control_reason, p->sample.control_reason);
    }
}

static void set_drain(struct helper *h, struct pool *p, bool on)
{
    p->sample.drain = on;
    helper_remember_control(h, p);
}

static void set_maintenance(struct helper *h, struct pool *p, bool on, const char *reason)
{
    p->sample.maintenance = on;
    text_clean(p->sample.control_reason, sizeof p->sample.control_reason, reason);
    helper_remember_control(h, p);
}

/* The check of one pool, or of the worst one. */
static void check(const struct helper *h, const struct pool *p, struct writer *body)
{
    p = p ? p : instance_worst(&h->in);
    if (p) {
        struct subject subject = {p->config->name, &p->verdict, &p->sample};
        dialect_nagios(&subject, body);
    } else {
        writer_text(body, "UNKNOWN - no pools\n");
    }
}

int helper_control(void *helper, const struct http_request *r, struct writer *body)
{
    struct helper *h = helper;
    char name[NAME_BYTES], on[8], reason[BOARD_TEXT_BYTES] = "";
    const char *rest = "";
    size_t rest_length = 0;
    enum verb verb = verb_of(r, &rest, &rest_length);
    if (verb == VERB_NONE) {
        return 0;
    }
    if ((verb == VERB_CHECK) != (r->method == HTTP_GET)) {
        writer_text(body, "wrong method\n");
        return 405;
    }
    ssize_t length = http_decode(rest, rest_length, name, sizeof name);
    struct pool *one = length > 0 ? instance_pool(&h->in, name, (size_t)length) : NULL;
    if (rest_length && !one) {
        writer_text(body, "UNKNOWN - no such pool\n");
        return 404;
    }
    if (verb == VERB_CHECK) {
        check(h, one, body);
        return 200;
    }
    bool enable = http_query(r, "on", on, sizeof on) && strcmp(on, "1") == 0;
    http_query(r, "reason", reason, sizeof reason);
    for (size_t i = 0; i < h->in.pool_count; i++) {
        struct pool *p = h->in.pools[i];
        if (one && p != one) {
            continue;
        }
        if (verb == VERB_MAINT) {
            set_maintenance(h, p, enable, reason);
        } else {
            set_drain(h, p, verb == VERB_DRAIN);
        }
    }
    sampler_look_at_board(h->sampler); /* the verdicts follow before the answer does */
    sampler_hurry(h->sampler);
    writer_text(body, "done\n");
    return 200;
}
