/*
 * base/mem_large.c -- large blocks, kept for reuse
 *
 * The system hands out large blocks page by page, at a fault for each: an 8 MB temporary
 * costs more in faults than in arithmetic. So freed blocks stay in lists by class of
 * size (four classes an octave), the least recently freed going back first when there
 * are too many bytes. Blocks of HUGE_MIN bytes and more are mapped on their own, aligned
 * to huge pages.
 */
#include "base/mem_large.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/mem.h"

enum {
    PAGE_HUGE = 2 * 1024 * 1024,
    HUGE_MIN = 4 * 1024 * 1024,
    FIRST_OCTAVE = 11, /* 2 KiB */
    OCTAVES = 36,
    CLASSES = 4 * OCTAVES,
};

/* A cached block: in the list of its class, and in that of all by age. */
typedef struct Cached {
    struct Cached *newer;
    struct Cached *older;
    struct Cached *next; /* of the class */
    struct Cached *previous;
    size_t size; /* of the class */
    int index;
} Cached;

static struct Cache {
    pthread_mutex_t lock;
    Cached *classes[CLASSES];
    Cached *newest;
    Cached *oldest;
    int64_t bytes;
    int64_t limit;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .limit = 256 * 1024 * 1024};

/* The class whose size is the next quarter of an octave; -1 beyond the last. */
static int
class_of(size_t size, size_t *rounded)
{
    const int octave = 63 - __builtin_clzll((unsigned long long)(size - 1));
    const size_t quarter = (size_t)1 << (octave - 2);
    const size_t steps = (size - 1 - ((size_t)1 << octave)) / quarter + 1;
    const int index = 4 * (octave - FIRST_OCTAVE) + (int)steps - 1;
    *rounded = ((size_t)1 << octave) + steps * quarter;
    return index < CLASSES ? index : -1;
}

/* ---- the system's blocks ---- */

static void *
map_huge(size_t size)
{
    /* Map more than is wanted and cut off what is not aligned. */
    const size_t whole = size + PAGE_HUGE;
    char *start = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        return NULL;
    }
    const size_t before = (PAGE_HUGE - (uintptr_t)start % PAGE_HUGE) % PAGE_HUGE;
    if (before > 0) {
        munmap(start, before);
    }
    munmap(start + before + size, whole - before - size);
#ifdef MADV_HUGEPAGE
    madvise(start + before, size, MADV_HUGEPAGE);
#endif
    return start + before;
}

static void *
system_new(size_t size, bool *zero)
{
    void *block = NULL;
    if (size >= HUGE_MIN) {
        block = map_huge(size);
        if (block != NULL) {
            *zero = false;
        }
    } else if (posix_memalign(&block, MEM_ALIGNMENT, size) != 0) {
        block = NULL;
    }
    return block;
}

static void
system_free(void *block, size_t size)
{
    if (size >= HUGE_MIN) {
        munmap(block, size);
    } else {
        free(block);
    }
}

/* ---- the cache; its lock is held ---- */

static void
cache_remove(Cached *block)
{
    *(block->newer != NULL ? &block->newer->older : &cache.newest) = block->older;
    *(block->older != NULL ? &block->older->newer : &cache.oldest) = block->newer;
    *(block->previous != NULL ? &block->previous->next : &cache.classes[block->index]) =
        block->next;
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    cache.bytes -= (int64_t)block->size;
}

static void
cache_add(Cached *block, size_t size, int index)
{
    *block = (Cached){NULL, cache.newest, cache.classes[index], NULL, size, index};
    *(block->older != NULL ? &block->older->newer : &cache.oldest) = block;
    cache.newest = block;
    if (block->next != NULL) {
        block->next->previous = block;
    }
    cache.classes[index] = block;
    cache.bytes += (int64_t)size;
}

/* Take out the oldest blocks until at most `bytes` remain; returns them linked by next. */
static Cached *
cache_shrink(int64_t bytes)
{
    Cached *out = NULL;
    while (cache.oldest != NULL && cache.bytes > bytes) {
        Cached *block = cache.oldest;
        cache_remove(block);
        block->next = out;
        out = block;
    }
    return out;
}

static void
free_all(Cached *block)
{
    while (block != NULL) {
        Cached *next = block->next;
        system_free(block, block->size);
        block = next;
    }
}

/* ---- the interface ---- */

static void
lock_cache(void)
{
    pthread_mutex_lock(&cache.lock);
}

static void
unlock_cache(void)
{
    pthread_mutex_unlock(&cache.lock);
}

static void
register_fork(void)
{
    pthread_atfork(lock_cache, unlock_cache, unlock_cache);
}

void *
mem_large_new(size_t size, bool *zero)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t rounded = 0;
    pthread_once(&once, register_fork);
    if (size > (size_t)1 << (FIRST_OCTAVE + OCTAVES - 1)) {
        return NULL;
    }
    const int index = class_of(size, &rounded);
    lock_cache();
    Cached *block = cache.classes[index];
    if (block != NULL) {
        cache_remove(block);
    }
    unlock_cache();
    if (block != NULL) {
        return block;
    }
    void *fresh = system_new(rounded, zero);
    if (fresh == NULL) {
        mem_large_trim();
        fresh = system_new(rounded, zero);
    }
    return fresh;
}

void
mem_large_free(void *block, size_t size)
{
    size_t rounded = 0;
    const int index = class_of(size, &rounded);
    Cached *out = NULL;
    lock_cache();
    const bool keep = (int64_t)rounded <= cache.limit;
    if (keep) {
        out = cache_shrink(cache.limit - (int64_t)rounded);
        cache_add(block, rounded, index);
    }
    unlock_cache();
    free_all(out);
    if (!keep) {
        system_free(block, rounded);
    }
}

void
mem_large_trim(void)
{
    lock_cache();
    Cached *out = cache_shrink(0);
    unlock_cache();
    free_all(out);
}

void
mem_large_set_limit(int64_t bytes)
{
    lock_cache();
    cache.limit = bytes > 0 ? bytes : 0;
    Cached *out = cache_shrink(cache.limit);
    unlock_cache();
    free_all(out);
}

int64_t
mem_large_cached(void)
{
    lock_cache();
    const int64_t bytes = cache.bytes;
    unlock_cache();
    return bytes;
}
