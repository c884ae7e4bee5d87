/*
 * base/mem.c -- the counting allocator: limits, fault injection, small blocks
 *
 * Blocks up to SMALL_MAX bytes come from lists that belong to the thread, without locks
 * or atomic operations. Empty lists are refilled from a shared depot of batches, and
 * that from slabs, which are never returned; long ones give batches to the depot. Larger
 * blocks are those of mem_large.c. Under a sanitizer, and with PYARR_CHECKS, each block
 * is a malloc of its own that knows its size.
 */
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem_large.h"
#include "base/settings.h"

enum {
    SMALL_MAX = 2048,
    CLASSES = 3 + SMALL_MAX / MEM_ALIGNMENT,
    SLAB_SIZE = 64 * 1024,
    BATCH_BYTES = 8 * 1024,  /* of one class that move between thread and depot at a time */
    FLUSH_BYTES = 64 * 1024, /* of a thread's count that others may not have seen */
};

/* A free block; `batch` links batches in the depot through their first blocks. */
typedef struct Free {
    struct Free *next;
    struct Free *batch;
} Free;

typedef struct List {
    Free *head;
    int64_t count;
} List;

/* What a thread owns. Counters are written by it alone, with plain stores that others
 * may read at any time. */
typedef struct Thread {
    List lists[CLASSES];
    _Atomic int64_t bytes; /* not yet added to the shared count */
    _Atomic int64_t blocks;
    _Atomic int64_t requests;
    struct Thread *next; /* of all threads, under shared.lock */
    struct Thread **link;
} Thread;

static struct Shared {
    pthread_mutex_t lock;
    Free *depot[CLASSES];
    char *slab;
    size_t slab_left;
    Thread *threads;
    pthread_key_t key;
    _Atomic int64_t bytes;
    _Atomic int64_t peak;
    _Atomic int64_t blocks;   /* of threads that ended */
    _Atomic int64_t requests; /* of threads that ended */
    _Atomic int64_t limit;
    _Atomic int64_t fail_at;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .limit = -1};

_Atomic bool mem_checks; /* requests take the slow path */

static _Thread_local Thread *self;

#define relaxed_load(p) atomic_load_explicit((p), memory_order_relaxed)
#define relaxed_add(p, x) atomic_store_explicit((p), relaxed_load(p) + (x), memory_order_relaxed)

static inline int
class_of(size_t size)
{
    if (size <= MEM_ALIGNMENT) {
        return size == 0 ? 0 : (int)((size - 1) / 16);
    }
    return 2 + (int)((size + MEM_ALIGNMENT - 1) / MEM_ALIGNMENT);
}

static inline size_t
class_size(int index)
{
    return index < 4 ? (size_t)(index + 1) * 16 : (size_t)(index - 2) * MEM_ALIGNMENT;
}

static int64_t
class_batch(int index)
{
    const int64_t count = BATCH_BYTES / (int64_t)class_size(index);
    return count < 64 ? count : 64;
}

/* ---- threads ---- */

static void
thread_end(void *argument)
{
    Thread *thread = argument;
    pthread_mutex_lock(&shared.lock);
    for (int i = 0; i < CLASSES; i++) {
        if (thread->lists[i].head != NULL) {
            thread->lists[i].head->batch = shared.depot[i];
            shared.depot[i] = thread->lists[i].head;
        }
    }
    atomic_fetch_add(&shared.bytes, relaxed_load(&thread->bytes));
    atomic_fetch_add(&shared.blocks, relaxed_load(&thread->blocks));
    atomic_fetch_add(&shared.requests, relaxed_load(&thread->requests));
    *thread->link = thread->next;
    if (thread->next != NULL) {
        thread->next->link = thread->link;
    }
    pthread_mutex_unlock(&shared.lock);
    self = NULL;
    free(thread);
}

static void
lock_shared(void)
{
    pthread_mutex_lock(&shared.lock);
}

static void
unlock_shared(void)
{
    pthread_mutex_unlock(&shared.lock);
}

static void
update_checks(void)
{
    atomic_store(&mem_checks,
                 atomic_load(&shared.limit) >= 0 || atomic_load(&shared.fail_at) > 0);
}

static void
start_once(void)
{
    pthread_key_create(&shared.key, thread_end);
    pthread_atfork(lock_shared, unlock_shared, unlock_shared);
    const Settings *settings = settings_get();
    atomic_store(&shared.limit, settings->mem_limit);
    atomic_store(&shared.fail_at, settings->fail_alloc > 0 ? settings->fail_alloc : 0);
    mem_large_set_limit(settings->mem_cache);
    update_checks();
}

static void
start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_once);
}

/* The thread's record, made at its first use; NULL when there is no memory for it. */
static Thread *
thread_start(void)
{
    start();
    Thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&shared.lock);
    thread->next = shared.threads;
    thread->link = &shared.threads;
    if (thread->next != NULL) {
        thread->next->link = &thread->next;
    }
    shared.threads = thread;
    pthread_mutex_unlock(&shared.lock);
    pthread_setspecific(shared.key, thread);
    self = thread;
    return thread;
}

/* ---- counting ---- */

static void
flush(Thread *thread)
{
    const int64_t bytes = relaxed_load(&thread->bytes);
    atomic_store_explicit(&thread->bytes, 0, memory_order_relaxed);
    const int64_t live = atomic_fetch_add(&shared.bytes, bytes) + bytes;
    int64_t peak = relaxed_load(&shared.peak);
    while (live > peak && !atomic_compare_exchange_weak(&shared.peak, &peak, live)) {
    }
}

static inline void
count(Thread *thread, int64_t bytes, int64_t blocks)
{
    relaxed_add(&thread->blocks, blocks);
    relaxed_add(&thread->bytes, bytes);
    const int64_t pending = relaxed_load(&thread->bytes);
    if (__builtin_expect(pending > FLUSH_BYTES || pending < -FLUSH_BYTES, 0)) {
        flush(thread);
    }
}

/* False, with the error set, when this request must fail. */
static bool
request_allowed(const Thread *thread, size_t size)
{
    int64_t left = atomic_load(&shared.fail_at);
    while (left > 0 && !atomic_compare_exchange_weak(&shared.fail_at, &left, left - 1)) {
    }
    if (left == 1) {
        err_set(ERR_MEMORY, "unable to allocate %zu bytes (a failure asked for)", size);
        return false;
    }
    const int64_t limit = atomic_load(&shared.limit);
    const int64_t live = atomic_load(&shared.bytes) + relaxed_load(&thread->bytes);
    if (limit >= 0 && (size > (size_t)INT64_MAX || (int64_t)size > limit - live)) {
        err_set(ERR_MEMORY, "unable to allocate %zu bytes: %jd are in use and the limit is %jd",
                size, (intmax_t)live, (intmax_t)limit);
        return false;
    }
    return true;
}

static void *
out_of_memory(size_t size)
{
    return err_null(ERR_MEMORY, "unable to allocate %zu bytes", size);
}

/* ---- small blocks ---- */

/* Cut one batch from the slab into a list. NULL without memory. Lock held. */
static Free *
slab_cut(int index)
{
    const size_t size = class_size(index);
    if (shared.slab_left < size) {
        /* What is left is smaller than a block of this class: at most 2 KiB lost. */
        void *slab = NULL;
        if (posix_memalign(&slab, MEM_ALIGNMENT, SLAB_SIZE) != 0) {
            return NULL;
        }
        shared.slab = slab;
        shared.slab_left = SLAB_SIZE;
    }
    /* Blocks of 64 bytes and more keep the alignment: sizes are its multiples. */
    const size_t skew = (uintptr_t)shared.slab % MEM_ALIGNMENT;
    if (size >= MEM_ALIGNMENT && skew != 0) {
        const size_t skip = MEM_ALIGNMENT - skew;
        shared.slab += skip < shared.slab_left ? skip : shared.slab_left;
        shared.slab_left -= skip < shared.slab_left ? skip : shared.slab_left;
        if (shared.slab_left < size) {
            shared.slab_left = 0;
            return slab_cut(index);
        }
    }
    Free *head = NULL;
    Free **tail = &head;
    for (int64_t i = class_batch(index); i > 0 && shared.slab_left >= size; i--) {
        Free *block = (Free *)(void *)shared.slab;
        shared.slab += size;
        shared.slab_left -= size;
        *tail = block;
        tail = &block->next;
    }
    *tail = NULL;
    return head;
}

static bool
list_refill(List *list, int index)
{
    pthread_mutex_lock(&shared.lock);
    Free *head = shared.depot[index];
    if (head != NULL) {
        shared.depot[index] = head->batch;
    } else {
        head = slab_cut(index);
    }
    pthread_mutex_unlock(&shared.lock);
    list->head = head;
    list->count = 0;
    for (const Free *block = head; block != NULL; block = block->next) {
        list->count++;
    }
    return head != NULL;
}

/* Give all but one batch of a long list to the depot, as one batch each. */
static void
list_spill(List *list, int index)
{
    const int64_t batch = class_batch(index);
    pthread_mutex_lock(&shared.lock);
    while (list->count > batch) {
        Free *head = list->head;
        Free *last = head;
        for (int64_t i = 1; i < batch; i++) {
            last = last->next;
        }
        list->head = last->next;
        list->count -= batch;
        last->next = NULL;
        head->batch = shared.depot[index];
        shared.depot[index] = head;
    }
    pthread_mutex_unlock(&shared.lock);
}

static inline void *
small_new(Thread *thread, size_t size)
{
    const int index = class_of(size);
    List *list = &thread->lists[index];
    if (__builtin_expect(list->head == NULL, 0) && !list_refill(list, index)) {
        return NULL;
    }
    Free *block = list->head;
    list->head = block->next;
    list->count--;
    return block;
}

static inline void
small_free(Thread *thread, void *pointer, size_t size)
{
    const int index = class_of(size);
    List *list = &thread->lists[index];
    Free *block = pointer;
    block->next = list->head;
    list->head = block;
    if (__builtin_expect(++list->count > 8 * class_batch(index), 0)) {
        list_spill(list, index);
    }
}

/* ---- plain blocks: a header of one alignment unit with the size ---- */

/* Sanitizers end the program at larger requests instead of refusing them. */
static const size_t PLAIN_MAX = (size_t)1 << 39;
static const uint64_t PLAIN_LIVE = 0x11fe11fe11fe11feu;
static const uint64_t PLAIN_DEAD = 0xdeaddeaddeaddeadu;

static void *
plain_new(size_t size)
{
    void *block = NULL;
    if (size > PLAIN_MAX
        || posix_memalign(&block, MEM_ALIGNMENT, size + MEM_ALIGNMENT) != 0) {
        return NULL;
    }
    uint64_t *header = block;
    header[0] = PLAIN_LIVE;
    header[1] = size;
    char *data = (char *)block + MEM_ALIGNMENT;
    memset(data, 0xcb, size); /* no value that looks right by chance */
    return data;
}

static void
plain_free(void *pointer, size_t size)
{
    uint64_t *header = (uint64_t *)(void *)((char *)pointer - MEM_ALIGNMENT);
    assert(header[0] == PLAIN_LIVE && "freed twice, or not ours");
    assert(header[1] == size && "freed with another size than asked with");
    header[0] = PLAIN_DEAD;
    memset(pointer, 0xdb, size);
    free(header);
}

/* ---- the interface ---- */

/* *zero: in, zeros are wanted; out, they have yet to be written. */
static inline void *
block_new(size_t size, bool *zero)
{
    Thread *thread = self;
    if (__builtin_expect(thread == NULL, 0) && (thread = thread_start()) == NULL) {
        return out_of_memory(size);
    }
    relaxed_add(&thread->requests, 1);
    if (__builtin_expect(mem_is_checked(), 0) && !request_allowed(thread, size)) {
        return NULL;
    }
    void *block;
    if (MEM_PLAIN) {
        block = plain_new(size);
    } else if (size <= SMALL_MAX) {
        block = small_new(thread, size);
    } else {
        block = mem_large_new(size, zero);
    }
    if (__builtin_expect(block == NULL, 0)) {
        return out_of_memory(size);
    }
    count(thread, (int64_t)size, 1);
    return block;
}

void *
mem_new(size_t size)
{
    bool zero = false;
    return block_new(size, &zero);
}

void *
mem_new_zeroed(size_t size)
{
    bool zero = true;
    void *block = block_new(size, &zero);
    if (block != NULL && zero) {
        memset(block, 0, size);
    }
    return block;
}

void *
mem_new_array(int64_t number, size_t size)
{
    size_t bytes = 0;
    if (number < 0 || __builtin_mul_overflow((size_t)number, size, &bytes)) {
        return err_null(ERR_MEMORY, "unable to allocate %jd elements of %zu bytes",
                        (intmax_t)number, size);
    }
    return mem_new(bytes);
}

void
mem_free(void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    Thread *thread = self;
    if (__builtin_expect(thread == NULL, 0) && (thread = thread_start()) == NULL) {
        return; /* no memory even for the record: the block is lost */
    }
    count(thread, -(int64_t)size, -1);
    if (MEM_PLAIN) {
        plain_free(block, size);
    } else if (size <= SMALL_MAX) {
        small_free(thread, block, size);
    } else {
        mem_large_free(block, size);
    }
}

void *
mem_resize(void *block, size_t old_size, size_t new_size)
{
    void *moved = mem_new(new_size);
    if (moved == NULL) {
        return NULL;
    }
    if (block != NULL) {
        memcpy(moved, block, old_size < new_size ? old_size : new_size);
        mem_free(block, old_size);
    }
    return moved;
}

MemStats
mem_stats(void)
{
    MemStats stats = {0};
    pthread_mutex_lock(&shared.lock);
    stats.bytes_live = atomic_load(&shared.bytes);
    stats.blocks_live = atomic_load(&shared.blocks);
    stats.requests = atomic_load(&shared.requests);
    for (const Thread *thread = shared.threads; thread != NULL; thread = thread->next) {
        stats.bytes_live += relaxed_load(&thread->bytes);
        stats.blocks_live += relaxed_load(&thread->blocks);
        stats.requests += relaxed_load(&thread->requests);
    }
    pthread_mutex_unlock(&shared.lock);
    const int64_t peak = atomic_load(&shared.peak);
    stats.bytes_peak = peak > stats.bytes_live ? peak : stats.bytes_live;
    stats.bytes_cached = mem_large_cached();
    return stats;
}

void
mem_reset_peak(void)
{
    atomic_store(&shared.peak, mem_stats().bytes_live);
}

void
mem_set_limit(int64_t bytes)
{
    start();
    atomic_store(&shared.limit, bytes);
    update_checks();
}

int64_t
mem_fail_at(int64_t n)
{
    start();
    const int64_t left = atomic_exchange(&shared.fail_at, n > 0 ? n : 0);
    update_checks();
    return left;
}

void
mem_trim(void)
{
    if (self != NULL) {
        for (int i = 0; i < CLASSES; i++) {
            list_spill(&self->lists[i], i);
        }
    }
    mem_large_trim();
}

void
mem_set_cache_limit(int64_t bytes)
{
    start();
    mem_large_set_limit(bytes);
}
