/* What a pool answers in place of FPM's status page. */
#include "fuzz.h"

#include "cgi.h"
#include "fpm_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *answer = fuzz_text(data, size), line[32];
    struct fpm_status status;
    if (fpm_status_parse(answer, &status)) {
        REQUIRE(status.accepted <= INT64_MAX && strstr(answer, "accepted conn"));
    }
    cgi_parse(answer, line, sizeof line);
    REQUIRE(strlen(line) < sizeof line);
    free(answer);
    return 0;
}
