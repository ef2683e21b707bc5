/* Counts the blocks that CPython asks its allocators for: two numbers, blocks and bytes, in a file that others may read.

   Loaded into the interpreter by under_count_blocks.py. PyMem_SetAllocator and the shape of PyMemAllocatorEx are part of
   CPython's interface (PEP 445). */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    void *ctx;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} Allocator;

void PyMem_GetAllocator(int, Allocator *);
void PyMem_SetAllocator(int, Allocator *);

enum { MEM = 1, OBJ = 2 };

static uint64_t *counts;
static Allocator before[3];

static void *counted_malloc(void *ctx, size_t size) {
    counts[0]++;
    counts[1] += size;
    Allocator *own = ctx;
    return own->malloc(own->ctx, size);
}

static void *counted_calloc(void *ctx, size_t number, size_t size) {
    counts[0]++;
    counts[1] += number * size;
    Allocator *own = ctx;
    return own->calloc(own->ctx, number, size);
}

static void *counted_realloc(void *ctx, void *block, size_t size) {
    if (block == NULL) {
        counts[0]++;
        counts[1] += size;
    }
    Allocator *own = ctx;
    return own->realloc(own->ctx, block, size);
}

static void counted_free(void *ctx, void *block) {
    Allocator *own = ctx;
    own->free(own->ctx, block);
}

int count_blocks(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4096) < 0)
        return -1;
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counts == MAP_FAILED)
        return -1;
    for (int domain = MEM; domain <= OBJ; domain++) {
        PyMem_GetAllocator(domain, &before[domain]);
        Allocator counted = {&before[domain], counted_malloc, counted_calloc, counted_realloc, counted_free};
        PyMem_SetAllocator(domain, &counted);
    }
    return 0;
}
