/* What the commands that speak to a running helper share: their options, and the way to it. */
#ifndef FPM_HEALTH_CLI_REQUEST_H
#define FPM_HEALTH_CLI_REQUEST_H

#include <jansson.h>
#include <stdbool.h>

enum { CLI_PATH_BYTES = 1024 };

/* What a command understands beside --run-dir and --instance. */
enum cli_option {
    CLI_LIVE = 1 << 0,
    CLI_JSON = 1 << 1,
    CLI_WAIT = 1 << 2,
    CLI_TIMEOUT = 1 << 3,
    CLI_REASON = 1 << 4,
    CLI_INTERVAL = 1 << 5,
    CLI_COUNT = 1 << 6,
};

/* The options of all commands, and what stands beside them. */
struct cli_request {
    const char *run_dir, *instance, *reason;
    const char *words[2]; /* what stands beside the options */
    int word_count;
    bool live, json, wait;
    long timeout_ms;
    long interval_ms, count; /* count -1: not given */
    char root[CLI_PATH_BYTES], socket[CLI_PATH_BYTES];
};

/* Reads the options, of which `allowed` (of enum cli_option) may be there, and finds the helper. Returns 0 or an exit code (said why). */
int cli_prepare(struct cli_request *request, int argc, char **argv, unsigned allowed, int words_least, int words_most);

/* What the helper's /status says; NULL with errno. The caller owns it. */
json_t *cli_fetch_status(const struct cli_request *request);

/* Says that the helper does not answer, by errno. Returns the exit code for that. */
int cli_no_helper(const struct cli_request *request);

#endif
