/* Counts what a program allocates: loaded into it with LD_PRELOAD, read by a test while it runs.
 *
 * Each process writes its numbers to the file $ALLOCATIONS.<pid>: struct counts below, mapped, so that no call into
 * the program is needed to read it. Sizes are those that were asked for; live_bytes and live are of the sizes that
 * the allocator gave, without its 8 bytes of bookkeeping. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Live allocations are told apart by size in steps of 16 bytes; the last step has all larger ones. */
enum { STEP = 16, STEPS = 256 };

struct counts {
    int64_t calls;
    int64_t bytes;
    int64_t live_bytes;
    int64_t live[STEPS];
};

static struct counts before_the_file;
static struct counts *counts = &before_the_file;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

#define ADD(member, amount) __atomic_fetch_add(&(member), (amount), __ATOMIC_RELAXED)

static void live(void *memory, int sign) {
    size_t size = malloc_usable_size(memory), step = size / STEP;
    ADD(counts->live_bytes, sign * (int64_t)size);
    ADD(counts->live[step < STEPS ? step : STEPS - 1], sign);
}

static void *taken(void *memory, size_t size) {
    ADD(counts->calls, 1);
    ADD(counts->bytes, (int64_t)size);
    if (memory) live(memory, 1);
    return memory;
}

void *malloc(size_t size) { return taken(__libc_malloc(size), size); }

void *calloc(size_t count, size_t size) { return taken(__libc_calloc(count, size), count * size); }

void *realloc(void *old, size_t size) {
    if (old) live(old, -1);
    void *memory = __libc_realloc(old, size);
    if (!memory && old && size) live(old, 1);
    return taken(memory, size);
}

void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size), size); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    void *memory = memalign(alignment, size);
    if (!memory) return ENOMEM;
    *result = memory;
    return 0;
}

void free(void *memory) {
    if (memory) live(memory, -1);
    __libc_free(memory);
}

__attribute__((constructor)) static void open_file(void) {
    const char *prefix = getenv("ALLOCATIONS");
    char path[4096];
    if (!prefix || snprintf(path, sizeof path, "%s.%ld", prefix, (long)getpid()) >= (int)sizeof path) return;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (ftruncate(file, sizeof before_the_file) == 0) {
        struct counts *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED) {
            memcpy(shared, counts, sizeof *shared);
            counts = shared;
        }
    }
    close(file);
}
