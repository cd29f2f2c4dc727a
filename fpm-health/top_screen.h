/* The terminal of `fpm-health top`: taken, given back however the program ends, and what happens on it. */
#ifndef FPM_HEALTH_TOP_SCREEN_H
#define FPM_HEALTH_TOP_SCREEN_H

#include <stdbool.h>

enum top_event {
    TOP_NOTHING, /* the time is over */
    TOP_RESIZED,
    TOP_QUIT,
    TOP_UP,
    TOP_DOWN,
    TOP_PAGE_UP,
    TOP_PAGE_DOWN,
    TOP_HOME,
    TOP_END,
};

/* Takes the terminal that stdout is, and the keys of the one that stdin is, if it is one. False with errno. */
bool top_screen_open(void);

/* Gives it back. When a signal ended the view, the program then dies of that signal, as its parent expects. */
void top_screen_close(void);

void top_screen_size(int *columns, int *rows);

/* Waits for a key or a change of size, for `wait_ms` at most. */
enum top_event top_screen_wait(long wait_ms);

#endif
