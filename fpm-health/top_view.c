/* Lines of `fpm-health top`; see top_view.h. */
#define _GNU_SOURCE
#include "top_view.h"

#include <string.h>
#include <limits.h>
#include <wchar.h>

enum { NAME_LEAST = 8, NAME_MOST = 24, BUSY_CELLS = 10, QUEUE_CELLS = 6, WIDE_COLUMNS = 100 };

/* A line as it grows, never longer than the terminal is wide. */
struct line {
    FILE *out;
    int left; /* columns */
};

/* One character of the locale, or '?' for what a terminal could take for a command. Returns its bytes in the text. */
static size_t put_character(struct line *l, const char *at, mbstate_t *state)
{
    wchar_t c;
    size_t bytes = mbrtowc(&c, at, MB_LEN_MAX, state);
    bool valid = bytes > 0 && bytes < (size_t)-2;
    int columns = valid ? wcwidth(c) : -1;
    if (!valid) {
        *state = (mbstate_t){0};
    }
    if (columns >= 0 && columns <= l->left) {
        fwrite(at, 1, bytes, l->out);
        l->left -= columns;
    } else if (l->left > 0) {
        putc('?', l->out);
        l->left--;
    }
    return valid ? bytes : 1;
}

static void put(struct line *l, const char *text)
{
    mbstate_t state = {0};
    while (*text && l->left > 0) {
        text += put_character(l, text, &state);
    }
}

static void pad(struct line *l, int columns)
{
    for (; columns > 0 && l->left > 0; columns--, l->left--) {
        putc(' ', l->out);
    }
}

/* In a column of its own, and a space. */
static void put_left(struct line *l, const char *text, int columns)
{
    struct line cell = {l->out, columns < l->left ? columns : l->left};
    int before = cell.left;
    put(&cell, text);
    l->left -= before - cell.left;
    pad(l, cell.left + 1);
}

static void put_right(struct line *l, const char *text, int columns)
{
    pad(l, columns - (int)strlen(text));
    put(l, text);
    pad(l, 1);
}

static void put_number(struct line *l, int64_t n, int columns)
{
    char text[24] = "-";
    if (n >= 0) {
        snprintf(text, sizeof text, "%lld", (long long)n);
    }
    put_right(l, text, columns);
}

/* "[|||..  ]": what is busy, what is idle. */
static void put_bar(struct line *l, int64_t busy, int64_t there, int64_t full, int cells)
{
    char bar[32];
    full = full > there ? full : there;
    full = full > 0 ? full : 1;
    bar[0] = '[';
    for (int i = 0; i < cells; i++) { /* any busy one is seen, and any idle one too */
        int64_t at = full * i / cells;
        bar[1 + i] = at < busy || (i == 0 && busy > 0) ? '|' : at < there ? '.' : ' ';
    }
    if (busy < there && there == full && bar[cells] == '|') {
        bar[cells] = '.';
    }
    bar[1 + cells] = ']';
    bar[2 + cells] = '\0';
    put_left(l, bar, cells + 2);
}

static const char *colour_of(const char *state)
{
    return strcmp(state, "healthy") == 0 || strcmp(state, "ok") == 0       ? "\033[32m"
        : strcmp(state, "down") == 0 || strcmp(state, "failing") == 0      ? "\033[1;31m"
        : strcmp(state, "degraded") == 0 || strcmp(state, "starting") == 0 ? "\033[33m"
                                                                           : "\033[2m";
}

static void paint(const struct top_look *look, FILE *out, const char *colour)
{
    if (look->colour) {
        fputs(colour, out);
    }
}

static struct line begin(FILE *out, const struct top_look *look)
{
    return (struct line){out, look->columns ? look->columns : 1 << 20};
}

/* On a terminal what stood there before is wiped. */
static void end(const struct top_look *look, FILE *out)
{
    fputs(look->columns ? "\033[K\r\n" : "\n", out);
}

static bool is_wide(const struct top_look *look)
{
    return !look->columns || look->columns >= WIDE_COLUMNS;
}

static void put_pool(FILE *out, const struct top_look *look, const struct top_pool *p, int name_columns)
{
    struct line l = begin(out, look);
    char workers[48] = "-", rate[32] = "-";
    int64_t full = p->max > p->total ? p->max : p->total;
    if (p->active >= 0) {
        snprintf(workers, sizeof workers, "%lld/%lld", (long long)p->active, (long long)p->total);
    }
    if (p->rate >= 0) {
        snprintf(rate, sizeof rate, p->rate < 100 ? "%.1f" : "%.0f", p->rate);
    }
    put_left(&l, p->name, name_columns);
    paint(look, out, colour_of(p->state));
    put_left(&l, p->state, 11);
    paint(look, out, "\033[0m");
    put_bar(&l, p->active, p->total, full, BUSY_CELLS);
    put_right(&l, workers, 7);
    put_bar(&l, p->queue, 0, full, QUEUE_CELLS);
    put_number(&l, p->queue, 5);
    put_right(&l, rate, 7);
    if (is_wide(look)) {
        put_number(&l, p->weight, 3);
        put_left(&l, p->registered ? "yes" : "no", 3);
    }
    put(&l, p->reason);
    end(look, out);
}

static void put_titles(FILE *out, const struct top_look *look, int name_columns)
{
    struct line l = begin(out, look);
    paint(look, out, "\033[7m");
    put_left(&l, "POOL", name_columns);
    put_left(&l, "STATE", 11);
    put_left(&l, "WORKERS", BUSY_CELLS + 2);
    put_right(&l, "BUSY", 7);
    put_left(&l, "QUEUE", QUEUE_CELLS + 2);
    put_right(&l, "", 5);
    put_right(&l, "REQ/S", 7);
    if (is_wide(look)) {
        put_right(&l, "WGT", 3);
        put_left(&l, "REG", 3);
    }
    put(&l, "REASON");
    pad(&l, look->columns ? l.left : 0);
    paint(look, out, "\033[0m");
    end(look, out);
}

static const char *text(const json_t *status, const char *part, const char *key)
{
    const char *value = json_string_value(json_object_get(part ? json_object_get(status, part) : status, key));
    return value ? value : "";
}

static void put_head(FILE *out, const struct top_look *look, const struct top_snapshot *s)
{
    char line[512];
    struct line l = begin(out, look);
    const json_t *helper = json_object_get(s->status, "helper");
    snprintf(line, sizeof line, "%.200s on %.100s, fpm-health %.30s, up %lld s", text(s->status, NULL, "instance"),
        text(s->status, NULL, "node"), text(s->status, NULL, "version"),
        (long long)json_integer_value(json_object_get(helper, "uptime_s")));
    put(&l, line);
    end(look, out);
    l = begin(out, look);
    put_left(&l, "consul", 7);
    paint(look, out, colour_of(text(s->status, "consul", "state")));
    put(&l, text(s->status, "consul", "state"));
    paint(look, out, "\033[0m");
    if (strcmp(text(s->status, "consul", "url"), text(s->status, "consul", "state")) != 0) { /* both say "off" */
        put(&l, "  ");
        put(&l, text(s->status, "consul", "url"));
    }
    put(&l, "  ");
    put(&l, text(s->status, "consul", "error"));
    end(look, out);
}

static size_t count_state(const struct top_snapshot *s, const char *state)
{
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        n += strcmp(s->pools[i].state, state) == 0;
    }
    return n;
}

/* How many pools are in which state; or what is wrong. */
static void put_summary(FILE *out, const struct top_look *look, const struct top_snapshot *s)
{
    char line[512];
    struct line l = begin(out, look);
    const char *error = text(s->status, "helper", "error");
    if (look->trouble) {
        snprintf(line, sizeof line, "no answer: %.200s; what you see is %lld s old", look->trouble,
            (long long)(look->now_ms - s->taken_ms) / 1000);
        paint(look, out, "\033[1;31m");
        put(&l, line);
        paint(look, out, "\033[0m");
        end(look, out);
        return;
    }
    snprintf(line, sizeof line, "%zu pool%s", s->count, s->count == 1 ? "" : "s");
    put(&l, line);
    for (size_t i = 0; i < TOP_STATES; i++) {
        size_t n = count_state(s, top_states[i]);
        snprintf(line, sizeof line, ", %zu %s", n, top_states[i]);
        put(&l, n ? line : "");
    }
    put(&l, *error ? "; " : "");
    put(&l, error);
    end(look, out);
}

static int widest_name(const struct top_snapshot *s)
{
    int widest = NAME_LEAST;
    for (size_t i = 0; i < s->count; i++) {
        int length = (int)strnlen(s->pools[i].name, NAME_MOST);
        widest = length > widest ? length : widest;
    }
    return widest;
}

void top_write(
    FILE *out, const struct top_snapshot *s, const struct top_pool *const *order, const struct top_look *look)
{
    int name_columns = widest_name(s);
    size_t room = look->rows > TOP_FRAME_ROWS ? (size_t)(look->rows - TOP_FRAME_ROWS) : 1;
    size_t last = look->columns && look->first + room < s->count ? look->first + room : s->count;
    put_head(out, look, s);
    put_summary(out, look, s);
    put_titles(out, look, name_columns);
    for (size_t i = look->first; i < last; i++) {
        put_pool(out, look, order[i], name_columns);
    }
    if (look->columns) {
        struct line l = begin(out, look);
        char line[96];
        snprintf(line, sizeof line, "%zu-%zu of %zu   q quits, arrows and page keys scroll",
            s->count ? look->first + 1 : 0, last, s->count);
        fputs("\033[J", out);
        paint(look, out, "\033[2m");
        put(&l, line);
        paint(look, out, "\033[0m");
    }
}
