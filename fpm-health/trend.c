/* The last minutes of a pool; see trend.h. */
#include "trend.h"

static uint16_t narrow(uint32_t n)
{
    return n < TREND_UNKNOWN ? (uint16_t)n : TREND_UNKNOWN - 1;
}

/* The larger; something known is larger than nothing known. */
static uint16_t most(uint16_t before, bool known, uint32_t n)
{
    return known && (before == TREND_UNKNOWN || before < narrow(n)) ? narrow(n) : before;
}

void trend_note(struct trend *t, const struct sample *s, enum board_state state)
{
    struct trend_span *now = &t->now;
    if (!t->begun) {
        *now = (struct trend_span){
            .active = TREND_UNKNOWN, .total = TREND_UNKNOWN, .queue = TREND_UNKNOWN, .state = (uint8_t)state};
        t->begun = true;
    }
    now->active = most(now->active, s->workers_known, s->active);
    now->total = most(now->total, s->workers_known, s->total);
    now->queue = most(now->queue, s->queue_known, s->queue);
    if (verdict_badness(state) > verdict_badness((enum board_state)now->state)) {
        now->state = (uint8_t)state;
    }
}

void trend_turn(struct trend *t, const struct sample *s)
{
    bool counts = s->requests_known && t->counts && s->requests >= t->requests_before;
    uint64_t requests = counts ? s->requests - t->requests_before : UINT32_MAX;
    if (t->begun) {
        t->now.requests = requests < UINT32_MAX ? (uint32_t)requests : UINT32_MAX;
        t->spans[t->ended++ % TREND_SPANS] = t->now;
    }
    t->counts = s->requests_known;
    t->requests_before = s->requests;
    t->begun = false;
}

enum column { ACTIVE, TOTAL, QUEUE, REQUESTS, STATES };

static void write_cell(enum column column, const struct trend_span *span, struct writer *w)
{
    const uint16_t numbers[] = {[ACTIVE] = span->active, [TOTAL] = span->total, [QUEUE] = span->queue};
    if (column == STATES) {
        writer_format(w, "\"%s\"", board_state_name(span->state));
    } else if (column == REQUESTS ? span->requests == UINT32_MAX : numbers[column] == TREND_UNKNOWN) {
        writer_text(w, "null");
    } else {
        writer_format(w, "%u", column == REQUESTS ? (unsigned)span->requests : (unsigned)numbers[column]);
    }
}

void trend_render(const struct trend *t, struct writer *w)
{
    static const char *const names[] = {"active", "total", "queue", "requests", "states"};
    uint32_t first = t->ended > TREND_SPANS ? t->ended - TREND_SPANS : 0;
    writer_format(w, "{\"span_s\":%d", TREND_SPAN_MS / 1000);
    for (enum column c = ACTIVE; c <= STATES; c++) {
        writer_format(w, ",\"%s\":[", names[c]);
        for (uint32_t i = first; i < t->ended; i++) {
            writer_text(w, i > first ? "," : "");
            write_cell(c, &t->spans[i % TREND_SPANS], w);
        }
        writer_text(w, "]");
    }
    writer_text(w, "}\n");
}
