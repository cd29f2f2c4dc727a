/* One FastCGI request to FPM: connects, asks, reads the answer, closes at once; always within a deadline. */
#ifndef FPM_HEALTH_FLIGHT_H
#define FPM_HEALTH_FLIGHT_H

#include "address.h"
#include "fcgi.h"
#include "loop.h"
#include "verdict.h"

enum flight_kind {
    FLIGHT_PING,   /* without SCRIPT_FILENAME: FPM answers 404 and logs nothing */
    FLIGHT_STATUS, /* FPM's own page */
    FLIGHT_WARMUP, /* a script of the pool's, marked by SVCREG_PROBE=warmup, … */
    FLIGHT_PROBE   /* … or =probe */
};

static inline bool flight_is_script(enum flight_kind kind)
{
    return kind == FLIGHT_WARMUP || kind == FLIGHT_PROBE;
}

struct flight_result {
    enum ping_result result;
    const char *error;  /* empty when good */
    const char *output; /* the answer's beginning: CGI headers and body; ended by NUL */
};

typedef void flight_done(void *context, const struct flight_result *result);

struct flight;

/*
 * Sends one request; `path` is of the status page or the script, there with "?query" where one is wanted. `done` is called
 * once, never from inside this call; the flight has ended by itself then. NULL: out of memory or descriptors, or too long.
 */
struct flight *flight_start(struct loop *loop, const struct address *to, enum flight_kind kind, const char *path,
    int64_t timeout_ms, flight_done *done, void *context);

/* How long to wait after so many failures in a row, the last one not counted. */
int64_t flight_pause_ms(uint32_t failures);

/* Ends it without calling `done`. NULL is harmless. */
void flight_cancel(struct flight *flight);

#endif
