/* Who this FPM is: its node, its instance, and the Consul that hears of it. */
#ifndef SVCREG_IDENTITY_H
#define SVCREG_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

/* As found at start: a worker's environment may be cleared. All NULL where svcreg does nothing. */
struct master_identity {
    char *node;
    char *instance;
    char *consul_url;
};

/* `config_path` is FPM's configuration, which names the instance. False when there is no memory; free it in either case. */
bool identity_make(struct master_identity *identity, const char *config_path);
void identity_free(struct master_identity *identity);

/* Field 22 of /proc/self/stat: with the pid it names this process for good. Fit for a signal handler; 0: unknown. */
uint64_t identity_start_time(void);

#endif
