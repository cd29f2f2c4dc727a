/* Options, and the way to the helper; see cli_request.h. */
#define _GNU_SOURCE
#include "cli_request.h"

#include "ask.h"
#include "run_dir.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { DRAIN_WAIT_MS = 60 * 1000, TOP_INTERVAL_MS = 1000, TOP_INTERVAL_LEAST_MS = 100, COUNT_MAX = 1000000 };

/* "500ms", "10s", "2m", or plain seconds. Returns -1 for anything else. */
static long parse_duration(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    long unit_ms = strcmp(end, "ms") == 0 ? 1
        : strcmp(end, "s") == 0 || !*end  ? 1000
        : strcmp(end, "m") == 0           ? 60000
                                          : 0;
    return end == text || n < 0 || n > 1000000 || !unit_ms ? -1 : n * unit_ms;
}

static long parse_count(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    return end == text || *end || n < 0 || n > COUNT_MAX ? -1 : n;
}

/* Returns whether each option is one that the command understands, and has a value that can be used. */
static bool read_options(struct cli_request *r, int argc, char **argv, unsigned allowed)
{
    enum { RUN_DIR = 1 << 16, INSTANCE = 1 << 17 };
    static const struct option options[] = {{"run-dir", required_argument, NULL, RUN_DIR},
        {"instance", required_argument, NULL, INSTANCE}, {"live", no_argument, NULL, CLI_LIVE},
        {"json", no_argument, NULL, CLI_JSON}, {"wait", no_argument, NULL, CLI_WAIT},
        {"timeout", required_argument, NULL, CLI_TIMEOUT}, {"reason", required_argument, NULL, CLI_REASON},
        {"interval", required_argument, NULL, CLI_INTERVAL}, {"count", required_argument, NULL, CLI_COUNT}, {0}};
    bool good = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case RUN_DIR: r->run_dir = optarg; break;
        case INSTANCE: r->instance = optarg; break;
        case CLI_LIVE: r->live = true; break;
        case CLI_JSON: r->json = true; break;
        case CLI_WAIT: r->wait = true; break;
        case CLI_TIMEOUT: good &= (r->timeout_ms = parse_duration(optarg)) >= 0; break;
        case CLI_REASON: r->reason = optarg; break;
        case CLI_INTERVAL: good &= (r->interval_ms = parse_duration(optarg)) >= TOP_INTERVAL_LEAST_MS; break;
        case CLI_COUNT: good &= (r->count = parse_count(optarg)) >= 0; break;
        default: return false;
        }
        good &= c >= RUN_DIR || (allowed & (unsigned)c) != 0;
    }
    return good;
}

int cli_prepare(struct cli_request *r, int argc, char **argv, unsigned allowed, int words_least, int words_most)
{
    *r = (struct cli_request){.reason = "", .timeout_ms = DRAIN_WAIT_MS, .interval_ms = TOP_INTERVAL_MS, .count = -1};
    r->run_dir = run_dir_root(r->root, sizeof r->root);
    bool good = read_options(r, argc, argv, allowed);
    r->word_count = argc - optind;
    if (!good || r->word_count < words_least || r->word_count > words_most) {
        fprintf(stderr, "fpm-health %s: wrong usage, see fpm-health --help\n", argv[0]);
        return EX_USAGE;
    }
    for (int i = 0; i < r->word_count; i++) {
        r->words[i] = argv[optind + i];
    }
    int result = run_dir_find(r->run_dir, r->instance, r->socket, sizeof r->socket);
    if (result == EX_UNAVAILABLE) {
        fprintf(stderr, "fpm-health: no helper found below %s\n", r->run_dir);
    }
    return result;
}

json_t *cli_fetch_status(const struct cli_request *r)
{
    char *body;
    int answer = ask(r->socket, "GET", "/status", &body), saved = errno;
    json_t *status = answer == 200 ? json_loads(body, 0, NULL) : NULL;
    free(body);
    errno = answer == -1 ? saved : EPROTO;
    return status;
}

int cli_no_helper(const struct cli_request *r)
{
    fprintf(stderr, "fpm-health: %s: %s\n", r->socket, strerror(errno));
    return EX_UNAVAILABLE;
}
