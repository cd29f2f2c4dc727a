/* Who asks, so that a drain can wait until each one has been told: a small table keyed by peer and path. Pure. */
#ifndef FPM_HEALTH_PROBERS_H
#define FPM_HEALTH_PROBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

struct probers {
    struct {
        uint64_t key; /* 0: free */
        int64_t seen_ms;
        bool told; /* its last answer said drain */
    } table[PROBERS_MAX];
};

/* Notes an answer. Costs a few instructions; when its places are all taken by recent ones, it replaces the oldest of them. */
void probers_note(struct probers *probers, uint64_t key, bool told, int64_t now_ms);

/* Whether every prober seen lately got drain as its last answer. */
bool probers_told(const struct probers *probers, int64_t now_ms);

#endif
