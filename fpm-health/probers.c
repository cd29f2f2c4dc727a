/* Probers; see probers.h. */
#include "probers.h"

enum { PLACES = 4 };

void probers_note(struct probers *p, uint64_t key, bool told, int64_t now_ms)
{
    uint64_t start = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    uint64_t best = start % PROBERS_MAX;
    for (uint64_t i = 0; i < PLACES; i++) {
        uint64_t at = (start + i) % PROBERS_MAX;
        if (p->table[at].key == key) {
            best = at;
            break;
        }
        if (p->table[at].seen_ms < p->table[best].seen_ms) {
            best = at;
        }
    }
    p->table[best].key = key;
    p->table[best].seen_ms = now_ms;
    p->table[best].told = told;
}

bool probers_told(const struct probers *p, int64_t now_ms)
{
    for (int i = 0; i < PROBERS_MAX; i++) {
        if (p->table[i].key && !p->table[i].told && now_ms - p->table[i].seen_ms <= PROBER_RECENT_MS) {
            return false;
        }
    }
    return true;
}
