/* See memory.h. */
#define _GNU_SOURCE
#include "memory.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the loader relocates is in writable segments, also where it is made read-only later: the others are as in the file. */
static int forget_object(struct dl_phdr_info *object, size_t size, void *context)
{
    const char *name = object->dlpi_name;
    uintptr_t page_bytes = *(const uintptr_t *)context;
    (void)size;
    bool is_file = name[0] == '/' || name[0] == '\0'; /* the program itself has no name; the vDSO is no file */
    for (int i = 0; is_file && i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W)) {
            uintptr_t from = object->dlpi_addr + segment->p_vaddr;
            uintptr_t start = from & ~(page_bytes - 1);
            madvise((void *)start, from - start + segment->p_memsz, MADV_DONTNEED);
        }
    }
    return 0;
}

void memory_forget_startup(void)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(forget_object, &page_bytes);
}
