/* The kernel's answers to a dump of sockets; the first byte chooses the family. */
#include "fuzz.h"

#include "diag.h"

struct seen {
    const uint8_t *begin, *end;
    size_t sum;
};

static void see(void *context, const struct diag_socket *s)
{
    struct seen *seen = context;
    for (size_t i = 0; i < s->path_length; i++) {
        seen->sum += (unsigned char)s->path[i];
    }
    if (s->family == AF_UNIX) {
        const uint8_t *path = (const uint8_t *)s->path;
        REQUIRE(path >= seen->begin && path + s->path_length <= seen->end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
    int family = families[fuzz_byte(&data, &size) % 3];
    struct seen seen = {data, data + size, 0};
    int result = diag_parse(data, size, family, see, &seen);
    REQUIRE(result >= -1 && result <= 1);
    return 0;
}
