/* What the unit tests share: cmocka, and inputs that end where a PROT_NONE page begins. */
#ifndef SVCREG_UNIT_H
#define SVCREG_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { GUARDED_BYTES = 1 << 17, GUARD_BYTES = 4096 };

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* A copy of `bytes` whose last byte is the last that may be read. Valid until the next call. */
static inline const char *guarded(const void *bytes, size_t length)
{
    static char *area;
    if (!area) {
        area = mmap(NULL, GUARDED_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(area != MAP_FAILED);
        assert_int_equal(mprotect(area + GUARDED_BYTES, GUARD_BYTES, PROT_NONE), 0);
    }
    assert_true(length <= GUARDED_BYTES);
    return length ? memcpy(area + GUARDED_BYTES - length, bytes, length) : area + GUARDED_BYTES;
}

#endif
