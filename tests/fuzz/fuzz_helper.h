/* A daemon for the fuzz targets that need a whole one. */
#ifndef FUZZ_HELPER_H
#define FUZZ_HELPER_H

#include "fuzz.h"

#include "helper.h"

#define FUZZ_HELPER {.board_fd = -1, .lifeline_fd = -1, .lock_fd = -1}

/* Makes all but what a configuration brings. Returns the one that `json` is, for the caller to take over; see fuzz_config(). */
static inline struct config *fuzz_helper_begin(struct helper *h, const char *json)
{
    struct config *config = fuzz_config(json);
    fuzz_no_log();
    h->doorbell.fd = h->signals.fd = h->master.fd = -1;
    REQUIRE(loop_init(&h->loop) == 0);
    h->in.consul_url = "off";
    h->server = server_create(&h->loop, &h->answers, helper_control, h);
    h->sampler = sampler_create(&h->loop, &h->in, &h->board, helper_judge, h);
    REQUIRE(h->server && h->sampler);
    return config;
}

#endif
