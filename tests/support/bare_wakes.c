/* What waking up costs at least: sleeps and wakes, and does nothing else. Usage: bare_wakes MS COUNT. */
#include <poll.h>
#include <stdlib.h>

enum { EX_USAGE = 64 };

int main(int argc, char **argv)
{
    int ms = argc == 3 ? atoi(argv[1]) : 0, count = argc == 3 ? atoi(argv[2]) : 0;
    if (ms <= 0 || count <= 0) {
        return EX_USAGE;
    }
    while (count-- > 0) {
        poll(NULL, 0, ms);
    }
    return 0;
}
