/* `fpm-health top`: a live view on a terminal, plain text elsewhere. It outlives the helper that it looks at. */
#define _GNU_SOURCE
#include "cli.h"

#include "cli_request.h"
#include "loop.h"
#include "top_screen.h"
#include "top_view.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct top {
    struct cli_request request;
    struct top_snapshot snapshot;
    const struct top_pool **order; /* owned */
    const char *trouble;           /* why the last look failed; NULL: it did not */
    size_t first, page;            /* of the pools: the topmost one that is shown, and how many there is room for */
};

/* Looks at the helper. Without an answer the last one stays. */
static bool look(struct top *t)
{
    json_t *status = cli_fetch_status(&t->request);
    struct top_snapshot fresh;
    if (!status || !top_take(&fresh, status, loop_clock_ms())) {
        t->trouble = errno == EINTR ? t->trouble : strerror(errno); /* a signal says nothing of the helper */
        return false;
    }
    top_rate(&fresh, &t->snapshot);
    top_drop(&t->snapshot);
    free(t->order);
    t->snapshot = fresh;
    t->order = top_sort(&fresh);
    t->trouble = NULL;
    return t->order != NULL;
}

static void scroll(struct top *t, enum top_event event)
{
    size_t page = t->page;
    size_t last = t->snapshot.count > page ? t->snapshot.count - page : 0;
    size_t up = event == TOP_UP ? 1 : event == TOP_PAGE_UP ? page : event == TOP_HOME ? t->first : 0;
    size_t down = event == TOP_DOWN ? 1 : event == TOP_PAGE_DOWN ? page : event == TOP_END ? last : 0;
    t->first = t->first > up ? t->first - up : 0;
    t->first = t->first + down < last ? t->first + down : last;
}

static bool draw(struct top *t)
{
    struct top_look view = {.colour = !getenv("NO_COLOR"), .trouble = t->trouble, .now_ms = loop_clock_ms()};
    top_screen_size(&view.columns, &view.rows);
    t->page = (size_t)(view.rows > TOP_FRAME_ROWS ? view.rows - TOP_FRAME_ROWS : 1);
    scroll(t, TOP_NOTHING); /* the pools may be fewer, or the terminal larger */
    view.first = t->first;
    fputs("\033[H", stdout);
    top_write(stdout, &t->snapshot, t->order, &view);
    return fflush(stdout) == 0;
}

/* Lets the person scroll until the next look is due. Returns false when it is time to go. */
static bool show(struct top *t)
{
    int64_t due_ms = loop_clock_ms() + t->request.interval_ms, left_ms;
    while (draw(t) && (left_ms = due_ms - loop_clock_ms()) > 0) {
        enum top_event event = top_screen_wait((long)left_ms);
        if (event == TOP_QUIT) {
            return false;
        }
        scroll(t, event);
    }
    return !ferror(stdout);
}

static int live(struct top *t)
{
    if (!top_screen_open()) {
        return cli_no_helper(&t->request);
    }
    for (long shown = 0; t->request.count <= 0 || shown < t->request.count; shown++) {
        look(t);
        if (!t->order || !show(t)) {
            break;
        }
    }
    top_screen_close();
    return t->order ? 0 : EX_OSERR;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static bool is_screen(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

/* A block for each look after the first, which is there to compare with. */
static int plain(struct top *t)
{
    long count = t->request.count == -1 ? 1 : t->request.count;
    for (long shown = 0; count == 0 || shown < count; shown++) {
        pause_ms(t->request.interval_ms);
        if (!look(t)) {
            cli_no_helper(&t->request);
            continue;
        }
        fputs(shown ? "\n" : "", stdout);
        top_write(stdout, &t->snapshot, t->order, &(struct top_look){0});
        if (fflush(stdout) == EOF) {
            break;
        }
    }
    return t->trouble ? EX_UNAVAILABLE : 0;
}

int cli_top(int argc, char **argv)
{
    static char room[64 * 1024]; /* of stdout: a frame at a time */
    struct top t = {0};
    int result = cli_prepare(&t.request, argc, argv, CLI_INTERVAL | CLI_COUNT, 0, 0);
    if (result) {
        return result;
    }
    if (!look(&t)) {
        return cli_no_helper(&t.request);
    }
    setlocale(LC_CTYPE, "");
    setvbuf(stdout, room, _IOFBF, sizeof room);
    result = is_screen() ? live(&t) : plain(&t);
    free(t.order);
    top_drop(&t.snapshot);
    return result;
}
